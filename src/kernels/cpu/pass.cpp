#include "kernels/cpu/pass.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "kernels/cpu/cache_share.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/cpu/key_panels.hpp"
#include "kernels/cpu/tile_rows.hpp"

namespace annulus::kernels {

namespace {

/// Keys that are packed together, where there are so many: twice those that are summed together, so
/// that queries are packed, and states fetched, half as often, or four times as many, which does so
/// again, where all of it stays in this core's part of the last cache. They come from there where
/// the second-level cache is smaller, which costs less, but not where products outrun it: then they
/// stay in the second level. Sums are the same.
Index panel_keys(Index keys, Index summed_keys, Index bytes_of_key, bool outruns_last_cache) {
  const Index bytes = summed_keys * bytes_of_key;
  Index most = 4 * bytes <= last_cache_share() ? 4 : 2;
  // The rest of the second level is for the tile at hand.
  if (outruns_last_cache) most = std::clamp<Index>(second_cache_share() * 5 / 8 / bytes, 1, most);
  return std::min(most * summed_keys, ceil_div(keys, summed_keys) * summed_keys);
}

}  // namespace

template <class E>
CpuForward<E>::CpuForward(const Queries& queries, const PassOptions& options,
                          const TileFunctions<E>& functions)
    : queries_(queries),
      options_(options),
      functions_(functions),
      pool_(pool_of(options)),
      untouched_(queries.sink.empty()),
      state_memory_(pool_,
                    [this](ArrayPlaces& places) {
                      state_ = place_state(places, queries_.q.heads * queries_.q.rows);
                    }),
      few_queries_(queries, options, pool_) {
  ensure(queries.scale.has_shape(queries.q.rows, queries.q.heads),
         "one scale per query row and head");
  ensure(options.threads >= 1, "at least one thread");
  ensure(options.key_heads >= 1 && queries.q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  for_each_item(queries.q.heads, options.threads, {},
                [&](Index head, int) { state_of(head, 0).clear(queries.q.rows); });
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
TileState CpuForward<E>::place_state(ArrayPlaces& places, Index rows) const {
  const auto numbers = [&] { return places.take<double>(rows); };
  return {.maximum = numbers(),
          .sum = numbers(),
          .moment = numbers(),
          .squares = numbers(),
          .self_logit = numbers(),
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
                                std::max(queries_.q.dim, options_.value_dim)),
      .state = place_state(places, query_tile)};
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
  accumulate_blocks(k, v, blocks, poll, nullptr);
}

template <class E>
void CpuForward<E>::accumulate_last(ConstTensorView k, ConstTensorView v,
                                    std::span<const Block> blocks, const Poll& poll,
                                    const ForwardOutputs& outputs) {
  check_outputs(outputs);
  accumulate_blocks(k, v, blocks, poll, &outputs);
}

template <class E>
void CpuForward<E>::accumulate_blocks(ConstTensorView k, ConstTensorView v,
                                      std::span<const Block> blocks, const Poll& poll,
                                      const ForwardOutputs* outputs) {
  ensure(k.heads == options_.key_heads && v.heads == options_.key_heads &&
             k.dim == queries_.q.dim && v.dim == options_.value_dim && k.rows == v.rows,
         "keys and values have the shapes of the pass");
  const auto is_few = [&](const Block& block) {
    return !options_.for_backward && block.queries.count <= few_queries;
  };
  if (workspaces_.empty() && !std::ranges::all_of(blocks, is_few)) {
    workspaces_.resize(static_cast<std::size_t>(options_.threads));
    const Index bytes_of_key = (k.dim + v.dim) * Index{sizeof(E)};
    panel_keys_ =
        panel_keys(k.rows, summed_tiles * key_tile<E>, bytes_of_key, functions_.outruns_last_cache);
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
  if (!many.empty()) {
    accumulate_joined(k, v, join(many), poll, outputs);
  } else if (outputs != nullptr) {
    finish(*outputs);
  }
}

template <class E>
void CpuForward<E>::accumulate_joined(ConstTensorView k, ConstTensorView v,
                                      const std::vector<JoinedBlock>& blocks, const Poll& poll,
                                      const ForwardOutputs* outputs) {
  const auto panels = panels_of(blocks, panel_keys_);
  const Index heads = options_.key_heads;
  const Index group = queries_.q.heads / heads;
  // As many heads as can be shared out evenly stay with a thread each, so that what is packed and
  // the state stay in its caches; all threads share the panels of the others.
  const Index whole_heads = shared_evenly(heads, options_.threads);
  std::vector<Step> steps;
  for (const auto& panel : panels) {
    bool first = true;
    for (const auto& part : panel.parts) {
      for (Index row = part.queries.begin; row < part.queries.end; row += query_tile) {
        steps.push_back({.panel = &panel,
                         .part = &part,
                         .queries = {row, std::min(row + query_tile, part.queries.end)},
                         .first = std::exchange(first, false)});
      }
    }
  }
  const auto count = std::ssize(steps);
  std::optional<Finish> last;
  if (outputs != nullptr) last = finish_of(*outputs, steps);
  const auto pack = [&](const Step& step, Index head, Index tile, const PackedPanel& packed,
                        int worker) {
    pack_tile(k, v, head, step.panel->keys, tile * key_tile<E>, packed,
              workspaces_[static_cast<std::size_t>(worker)].staging);
  };
  const auto key_tiles = [](const Step& step) {
    return ceil_div(step.panel->keys.size(), key_tile<E>);
  };
  for_each_step(
      whole_heads, count * group, options_.threads, poll, [&](Index head, Index item, int worker) {
        const Index at = item / group;
        const auto& step = steps[static_cast<std::size_t>(at)];
        const auto& packed = packed_[static_cast<std::size_t>(worker)];
        for (Index tile = 0; step.first && item % group == 0 && tile < key_tiles(step); ++tile) {
          pack(step, head, tile, packed, worker);
        }
        accumulate_tile(step, at, packed, head * group + item % group, worker, last);
      });
  const Index others = heads - whole_heads;
  for (Index begin = 0, end = 0; others > 0 && begin < count; begin = end) {
    const auto& first = steps[static_cast<std::size_t>(begin)];
    while (end < count && steps[static_cast<std::size_t>(end)].part == first.part) ++end;
    if (first.first) {
      const Index tiles = key_tiles(first);
      for_each_item(others * tiles, options_.threads, poll, [&](Index item, int worker) {
        const Index other = item / tiles;
        pack(first, whole_heads + other, item % tiles, packed_[static_cast<std::size_t>(other)],
             worker);
      });
    }
    const Index tiles = end - begin;
    for_each_item(others * group * tiles, options_.threads, poll, [&](Index item, int worker) {
      const Index head = item / tiles;
      const Index at = begin + item % tiles;
      accumulate_tile(steps[static_cast<std::size_t>(at)], at,
                      packed_[static_cast<std::size_t>(head / group)], whole_heads * group + head,
                      worker, last);
    });
  }
  untouched_ = false;
  if (!last) return;
  const auto is_met = [](Interval of_row) { return !of_row.empty(); };
  if (std::ranges::all_of(last->steps, is_met)) return;
  for_each_row(queries_.q.rows, options_.threads, [&](Index row) {
    if (is_met(last->steps[static_cast<std::size_t>(row)])) return;
    for (Index head = 0; head < queries_.q.heads; ++head) {
      finish_row(*outputs, row, head, state_of(head, row));
    }
  });
}

template <class E>
auto CpuForward<E>::finish_of(const ForwardOutputs& outputs, const std::vector<Step>& steps) const
    -> Finish {
  Finish finish{&outputs, std::vector<Interval>(static_cast<std::size_t>(queries_.q.rows))};
  for (Index at = 0; at < std::ssize(steps); ++at) {
    const auto queries = steps[static_cast<std::size_t>(at)].queries;
    for (Index row = queries.begin; row < queries.end; ++row) {
      auto& of_row = finish.steps[static_cast<std::size_t>(row)];
      of_row = {of_row.empty() ? at : of_row.begin, at + 1};
    }
  }
  return finish;
}

template <class E>
void CpuForward<E>::merge_into(Index head, Index row, const PartialState<double>& state) {
  untouched_ = false;
  const auto to = state_of(head, row);
  auto softmax = to.softmax();
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
void CpuForward<E>::accumulate_tile(const Step& step, Index at, const PackedPanel& packed,
                                    Index head, int worker, const std::optional<Finish>& last) {
  auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
  const auto& block = *step.part->block;
  const auto keys = step.panel->keys;
  const Index row = step.queries.begin;
  const Index rows = step.queries.size();
  for (Index r = 0; r < rows; ++r) {
    workspace.scale[r] = queries_.scale.at(row + r, head);
    const auto visible = block.seen_by(row + r);
    workspace.visible[r] = {visible.begin - keys.begin, visible.end - keys.begin};
    const Index self = options_.statistics ? block.self_key_of(row + r) : -1;
    workspace.self_key[r] = self - keys.begin;
  }
  // What no other step adds to need not be in memory.
  const auto of_rows =
      last ? std::span(last->steps)
                 .subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(rows))
           : std::span<const Interval>();
  const bool only = untouched_ && last && std::ranges::all_of(of_rows, [](Interval of_row) {
                      return of_row.size() == 1;
                    });
  if (only) workspace.state.clear(rows);
  const auto state = only ? workspace.state : state_of(head, row);
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
                         .state = state,
                         .scratch = workspace.scratch});
  for (Index r = 0; r < std::ssize(of_rows); ++r) {
    if (of_rows[static_cast<std::size_t>(r)].end != at + 1) continue;
    finish_row(*last->outputs, row + r, head, state.from(r, options_.value_dim));
  }
}

template <class E>
PartialState<double> CpuForward<E>::row_state(const TileState& of) const {
  const auto softmax = of.softmax();
  const std::span values(of.values, static_cast<std::size_t>(options_.value_dim));
  if (softmax.empty()) std::ranges::fill(values, 0.0);
  return {softmax, *of.self_logit, values};
}

template <class E>
void CpuForward<E>::check_outputs(const ForwardOutputs& outputs) const {
  ensure(outputs.out.has_shape(queries_.q.rows, queries_.q.heads, options_.value_dim),
         "the output has the shape of the pass");
  ensure(options_.statistics || !outputs.statistics.present(),
         "statistics were asked for at the start");
}

template <class E>
void CpuForward<E>::finish_row(const ForwardOutputs& outputs, Index row, Index head,
                               const TileState& of) const {
  const auto [softmax, self_logit, values] = row_state(of);
  if constexpr (sizeof(T) < sizeof(double)) {
    if (!softmax.empty()) {
      functions_.scale_sums(values.data(), std::ssize(values), 1 / softmax.sum,
                            outputs.out.row<T>(row, head));
      write_row_numbers<T>(outputs, row, head, softmax, self_logit);
      return;
    }
  }
  write_row<T>(outputs, row, head, softmax, self_logit, std::span<const double>(values));
}

template <class E>
void CpuForward<E>::finish(const ForwardOutputs& outputs) {
  check_outputs(outputs);
  for_each_row(queries_.q.rows, options_.threads, [&](Index row) {
    for (Index head = 0; head < queries_.q.heads; ++head) {
      finish_row(outputs, row, head, state_of(head, row));
    }
  });
}

template <class E>
void CpuForward<E>::write_state(TensorView state) const {
  ensure(state.has_shape(queries_.q.rows, queries_.q.heads, state_width(options_.value_dim)),
         "the state has the shape of the pass");
  for_each_row(queries_.q.rows, options_.threads, [&](Index row) {
    for (Index head = 0; head < queries_.q.heads; ++head) {
      const auto [softmax, self_logit, values] = row_state(state_of(head, row));
      store_state(state.row<T>(row, head), softmax, self_logit, std::span<const double>(values));
    }
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
