#include "kernels/cpu/pass.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/cpu/key_panels.hpp"
#include "kernels/cpu/tile_rows.hpp"

namespace annulus::kernels {

namespace {

/// Keys that are packed together, where there are so many: twice those that are summed together, so
/// that queries are packed, and states fetched, half as often. They come from the third-level cache
/// where the second is smaller, which costs less than that.
template <class E>
Index panel_keys(Index keys) {
  constexpr Index summed = summed_tiles * key_tile<E>;
  return std::min(2 * summed, ceil_div(keys, summed) * summed);
}

/// Tile `tile` of an interval of queries.
Interval tile_of(Interval queries, Index tile) {
  const Index first = queries.begin + tile * query_tile;
  return {first, std::min(first + query_tile, queries.end)};
}

}  // namespace

template <class E>
CpuForward<E>::CpuForward(const Queries& queries, const PassOptions& options,
                          const TileFunctions<E>& functions)
    : queries_(queries),
      options_(options),
      functions_(functions),
      pool_(pool_of(options)),
      state_memory_(pool_, [this](ArrayPlaces& places) { state_ = place_state(places); }),
      few_queries_(queries, options, pool_) {
  ensure(queries.scale.has_shape(queries.q.rows, queries.q.heads),
         "one scale per query row and head");
  ensure(options.threads >= 1, "at least one thread");
  ensure(options.key_heads >= 1 && queries.q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  for (Index h = 0; !queries.sink.empty() && h < queries.q.heads; ++h) {
    const auto sink = static_cast<T>(queries.sink[static_cast<std::size_t>(h)]);
    const auto state = SoftmaxState<double>::of_key(static_cast<double>(sink));
    if (state.empty()) continue;
    const auto rows = state_of(h, 0);
    std::fill_n(rows.maximum, queries.q.rows, state.maximum);
    std::fill_n(rows.sum, queries.q.rows, state.sum);
    std::fill_n(rows.squares, queries.q.rows, state.squares);
    std::fill_n(rows.values, queries.q.rows * options.value_dim, 0.0);
  }
}

template <class E>
TileState CpuForward<E>::place_state(ArrayPlaces& places) const {
  const Index rows = queries_.q.heads * queries_.q.rows;
  constexpr PartialState<double> nothing;
  return {.maximum = places.filled(rows, nothing.softmax.maximum),
          .sum = places.filled<double>(rows),
          .moment = places.filled<double>(rows),
          .squares = places.filled<double>(rows),
          .self_logit = places.filled(rows, nothing.self_logit),
          .values = places.take<double>(rows * options_.value_dim)};
}

template <class E>
auto CpuForward<E>::place_workspace(ArrayPlaces& places) const -> Workspace {
  constexpr bool in_place = operand_size<E> == 1;  // weights take the place of scores
  const Index sums = query_tile * functions_.lanes;
  Workspace workspace{
      .scratch = {.q = places.take<Operand<E>>(query_tile * operands<E>(queries_.q.dim)),
                  .scale = places.take<T>(query_tile),
                  .scores = places.filled<T>(query_tile * key_tile<E>),
                  .weights = nullptr,
                  .centre = places.take<T>(query_tile),
                  .largest = places.take<T>(sums),
                  .out = places.take<T>(query_tile * functions_.padded(options_.value_dim)),
                  .sum = places.take<T>(sums),
                  .moment = places.take<T>(sums),
                  .squares = places.take<T>(sums)},
      .scale = places.take<double>(query_tile),
      .visible = places.take<Interval>(query_tile),
      .self_key = places.take<Index>(query_tile),
      .staging = places.take<E>(std::max(query_tile, key_tile<E>) *
                                std::max(queries_.q.dim, options_.value_dim))};
  if constexpr (in_place) {
    workspace.scratch.weights = workspace.scratch.scores;
  } else {
    workspace.scratch.weights = places.filled<Operand<E>>(query_tile * operands<E>(key_tile<E>));
  }
  return workspace;
}

template <class E>
void CpuForward<E>::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                               const Poll& poll) {
  ensure(k.heads == options_.key_heads && v.heads == options_.key_heads &&
             k.dim == queries_.q.dim && v.dim == options_.value_dim && k.rows == v.rows,
         "keys and values have the shapes of the pass");
  const auto is_few = [&](const Block& block) {
    return !options_.for_backward && block.queries.count <= few_queries;
  };
  if (workspaces_.empty() && !std::ranges::all_of(blocks, is_few)) {
    workspaces_.resize(static_cast<std::size_t>(options_.threads));
    panel_keys_ = panel_keys<E>(k.rows);
    packed_.resize(static_cast<std::size_t>(std::min<Index>(options_.threads, options_.key_heads)));
    tile_memory_ = PassMemory(pool_, [this](ArrayPlaces& places) {
      for (auto& workspace : workspaces_) workspace = place_workspace(places);
      for (auto& packed : packed_) {
        packed.keys = places.take<Operand<E>>(functions_.packed_keys(panel_keys_, queries_.q.dim));
        packed.values =
            places.take<Operand<E>>(functions_.packed_values(panel_keys_, options_.value_dim));
      }
    });
  }
  std::vector<Block> many;
  for (const auto& block : blocks) {
    if (!is_few(block)) {
      many.push_back(block);
      continue;
    }
    few_queries_.accumulate(k, v, block, poll,
                            [&](Index head, Index row, const PartialState<double>& state) {
                              merge_into(head, row, state);
                            });
  }
  if (!many.empty()) accumulate_joined(k, v, join(many), poll);
}

template <class E>
void CpuForward<E>::accumulate_joined(ConstTensorView k, ConstTensorView v,
                                      const std::vector<JoinedBlock>& blocks, const Poll& poll) {
  const auto panels = panels_of(blocks, panel_keys_);
  const Index heads = options_.key_heads;
  const Index group = queries_.q.heads / heads;
  // As many heads as can be shared out evenly stay with a thread each, so that what is packed and
  // the state stay in its caches; all threads share the panels of the others.
  const Index whole_heads = shared_evenly(heads, options_.threads);
  struct Step {
    const KeyPanel* panel;
    bool first;  ///< of the panel, which is to be packed
    const JoinedBlock* block;
    Interval queries;
  };
  std::vector<Step> steps;
  for (const auto& panel : panels) {
    bool first = true;
    for (const auto& part : panel.parts) {
      for (Index tile = 0; tile < ceil_div(part.queries.size(), query_tile); ++tile) {
        steps.push_back(
            {&panel, std::exchange(first, false), part.block, tile_of(part.queries, tile)});
      }
    }
  }
  for_each_step(whole_heads, std::ssize(steps) * group, options_.threads, poll,
                [&](Index head, Index at, int worker) {
                  const auto& step = steps[static_cast<std::size_t>(at / group)];
                  const auto& packed = packed_[static_cast<std::size_t>(worker)];
                  auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
                  const auto keys = step.panel->keys;
                  if (step.first && at % group == 0) {
                    for (Index tile = 0; tile < keys.size(); tile += key_tile<E>) {
                      pack_tile(k, v, head, keys, tile, packed, workspace.staging);
                    }
                  }
                  accumulate_tile(*step.block, keys, packed, step.queries,
                                  head * group + at % group, workspace);
                });
  const Index others = heads - whole_heads;
  if (others == 0) return;
  for (const auto& [keys, parts] : panels) {
    const Index key_tiles = ceil_div(keys.size(), key_tile<E>);
    for_each_item(others * key_tiles, options_.threads, poll, [&](Index item, int worker) {
      const Index other = item / key_tiles;
      pack_tile(k, v, whole_heads + other, keys, item % key_tiles * key_tile<E>,
                packed_[static_cast<std::size_t>(other)],
                workspaces_[static_cast<std::size_t>(worker)].staging);
    });
    for (const auto& part : parts) {
      const Index tiles = ceil_div(part.queries.size(), query_tile);
      for_each_item(others * group * tiles, options_.threads, poll, [&](Index item, int worker) {
        const Index head = item / tiles;
        accumulate_tile(*part.block, keys, packed_[static_cast<std::size_t>(head / group)],
                        tile_of(part.queries, item % tiles), whole_heads * group + head,
                        workspaces_[static_cast<std::size_t>(worker)]);
      });
    }
  }
}

template <class E>
void CpuForward<E>::merge_into(Index head, Index row, const PartialState<double>& state) {
  const auto to = state_of(head, row);
  SoftmaxState<double> softmax{*to.maximum, *to.sum, *to.moment, *to.squares};
  if (softmax.empty()) std::fill_n(to.values, options_.value_dim, 0.0);
  annulus::merge(softmax, std::span(to.values, static_cast<std::size_t>(options_.value_dim)),
                 state.softmax, std::span<const double>(state.values));
  *to.maximum = softmax.maximum;
  *to.sum = softmax.sum;
  *to.moment = softmax.moment;
  *to.squares = softmax.squares;
  *to.self_logit = std::max(*to.self_logit, state.self_logit);
}

template <class E>
void CpuForward<E>::pack_tile(ConstTensorView k, ConstTensorView v, Index head, Interval keys,
                              Index tile, const PackedPanel& packed, E* staging) const {
  const Index row = keys.begin + tile;
  const Index count = std::min(key_tile<E>, keys.end - row);
  const auto key_rows = tile_rows(k, row, head, count, staging);
  functions_.pack_keys(key_rows.data, key_rows.stride, count, k.dim,
                       packed.keys + functions_.packed_keys(tile, k.dim));
  const auto value_rows = tile_rows(v, row, head, count, staging);
  functions_.pack_values(value_rows.data, value_rows.stride, count, v.dim,
                         packed.values + functions_.packed_values(tile, v.dim));
}

template <class E>
void CpuForward<E>::accumulate_tile(const JoinedBlock& block, Interval keys,
                                    const PackedPanel& packed, Interval queries, Index head,
                                    Workspace& workspace) {
  const Index row = queries.begin;
  const Index rows = queries.size();
  for (Index r = 0; r < rows; ++r) {
    workspace.scale[r] = queries_.scale.at(row + r, head);
    const auto visible = block.seen_by(row + r);
    workspace.visible[r] = {visible.begin - keys.begin, visible.end - keys.begin};
    const Index self = options_.statistics ? block.self_key_of(row + r) : -1;
    workspace.self_key[r] = self - keys.begin;
  }
  const auto q = tile_rows(queries_.q, row, head, rows, workspace.staging);
  functions_.accumulate({.rows = {rows, workspace.visible},
                         .dim = queries_.q.dim,
                         .value_dim = options_.value_dim,
                         .q = q.data,
                         .q_stride = q.stride,
                         .scale = workspace.scale,
                         .keys = packed.keys,
                         .values = packed.values,
                         .self_key = workspace.self_key,
                         .keys_begin = std::max<Index>(0, workspace.visible[0].begin),
                         .keys_end = std::min(keys.size(), workspace.visible[rows - 1].end),
                         .statistics = options_.statistics,
                         .state = state_of(head, row),
                         .scratch = workspace.scratch});
}

template <class E>
template <class Visit>
void CpuForward<E>::for_each_state(Visit visit) const {
  const auto width = static_cast<std::size_t>(options_.value_dim);
  for_each_row(queries_.q.rows, options_.threads, [&](Index row) {
    for (Index head = 0; head < queries_.q.heads; ++head) {
      const auto of = state_of(head, row);
      const SoftmaxState<double> softmax{*of.maximum, *of.sum, *of.moment, *of.squares};
      if (softmax.empty()) std::fill_n(of.values, width, 0.0);
      visit(row, head, softmax, *of.self_logit, std::span<const double>(of.values, width));
    }
  });
}

template <class E>
void CpuForward<E>::finish(const ForwardOutputs& outputs) {
  ensure(outputs.out.has_shape(queries_.q.rows, queries_.q.heads, options_.value_dim),
         "the output has the shape of the pass");
  ensure(options_.statistics || !outputs.statistics.present(),
         "statistics were asked for at the start");
  for_each_state([&](Index row, Index head, const SoftmaxState<double>& softmax, double self_logit,
                     std::span<const double> values) {
    if constexpr (sizeof(T) < sizeof(double)) {
      if (!softmax.empty()) {
        functions_.scale_sums(values.data(), std::ssize(values), 1 / softmax.sum,
                              outputs.out.row<T>(row, head));
        write_row_numbers<T>(outputs, row, head, softmax, self_logit);
        return;
      }
    }
    write_row<T>(outputs, row, head, softmax, self_logit, values);
  });
}

template <class E>
void CpuForward<E>::write_state(TensorView state) const {
  ensure(state.has_shape(queries_.q.rows, queries_.q.heads, state_width(options_.value_dim)),
         "the state has the shape of the pass");
  for_each_state([&](Index row, Index head, const SoftmaxState<double>& softmax, double self_logit,
                     std::span<const double> values) {
    store_state(state.row<T>(row, head), softmax, self_logit, values);
  });
}

template <class E>
void CpuForward<E>::merge(ConstTensorView state, Index first_head) {
  ensure(state.rows == queries_.q.rows && state.dim == state_width(options_.value_dim) &&
             first_head >= 0 && first_head + state.heads <= queries_.q.heads,
         "a state of rows and heads of the pass is merged");
  for_each_row(state.rows, options_.threads, [&](Index row) {
    std::vector<double> numbers(static_cast<std::size_t>(state.dim));
    for (Index head = 0; head < state.heads; ++head) {
      std::copy_n(state.row<T>(row, head), state.dim, numbers.begin());
      merge_into(first_head + head, row, load_state(numbers.data(), options_.value_dim));
    }
  });
}

template class CpuForward<float>;
template class CpuForward<double>;
template class CpuForward<BFloat16>;

}  // namespace annulus::kernels
