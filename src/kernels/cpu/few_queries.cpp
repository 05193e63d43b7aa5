#include "kernels/cpu/few_queries.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/cache_share.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/cpu/tile_rows.hpp"

namespace annulus::kernels {
namespace {

/// The states of `rows` rows, laid out as the tile functions write them.
TileState states_at(double* numbers, Index rows) {
  const auto part = [&](Index i) { return numbers + i * rows; };
  return {.maximum = part(0),
          .sum = part(1),
          .moment = part(2),
          .squares = part(3),
          .self_logit = part(4),
          .values = part(5)};
}

}  // namespace

template <class T>
CpuFewQueries<T>::CpuFewQueries(const Queries& queries, const PassOptions& options,
                                std::shared_ptr<device::BufferPool> pool)
    : queries_(queries),
      options_(options),
      functions_(tile_functions<T>()),
      pool_(std::move(pool)) {}

template <class T>
auto CpuFewQueries<T>::place_workspace(ArrayPlaces& places) const -> Workspace {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index padded = functions_.padded(d_v);
  const Index sums = query_tile * functions_.lanes;
  Workspace workspace{.scratch = {.q = places.take<T>(query_tile * d),
                                  .scale = places.take<T>(query_tile),
                                  .scores = places.filled<T>(query_tile * key_tile<T>),
                                  .weights = nullptr,
                                  .centre = places.take<T>(query_tile),
                                  .largest = places.take<T>(sums),
                                  .out = places.take<T>(query_tile * padded),
                                  .sum = places.take<T>(sums),
                                  .moment = places.take<T>(sums),
                                  .squares = places.take<T>(sums)},
                      .keys = places.take<T>(packed_chunk_keys * d),
                      .values = places.take<T>(packed_chunk_keys * padded),
                      .q = places.take<T>(query_tile * d),
                      .scale = places.take<double>(query_tile),
                      .visible = places.take<Interval>(query_tile),
                      .self_key = places.take<Index>(query_tile),
                      .staging = places.take<T>(key_tile<T> * std::max(d, d_v))};
  workspace.scratch.weights = workspace.scratch.scores;
  return workspace;
}

template <class T>
Index CpuFewQueries<T>::chunk_of(Index keys, Index rows) const {
  if (!as_rows(rows)) return packed_chunk_keys;
  // A chunk costs about as much as 30 keys beside its keys; but threads need chunks to share.
  constexpr Index chunks_to_share = 32;
  const Index share = keys / (key_tile<T> * chunks_to_share) * key_tile<T>;
  return std::clamp(share, packed_chunk_keys, summed_tiles * key_tile<T>);
}

template <class T>
void CpuFewQueries<T>::accumulate(ConstTensorView k, ConstTensorView v, const Block& block,
                                  const Poll& poll, const Merge& merge) {
  if (workspaces_.empty()) {
    workspaces_.resize(static_cast<std::size_t>(options_.threads));
    memory_ = PassMemory(pool_, [this](ArrayPlaces& places) {
      for (auto& workspace : workspaces_) workspace = place_workspace(places);
    });
  }
  std::vector<Rows> tiles;
  const Index rows = block.queries.count * group();
  for (Index head = 0; head < options_.key_heads; ++head) {
    for (Index first = 0; first < rows; first += query_tile) {
      tiles.push_back({head, {first, std::min(first + query_tile, rows)}});
    }
  }
  const auto tile_count = static_cast<Index>(tiles.size());
  const Index tile_rows = std::min(query_tile, rows);
  const Index tile_numbers = tile_rows * state_width(options_.value_dim);
  // All that some query sees is one interval.
  const Interval seen{block.visible(0).begin, block.visible(block.queries.count - 1).end};
  const Index chunk_keys = chunk_of(seen.size(), tile_rows);
  const Index begin = floor_div(seen.begin, chunk_keys);
  const Index end = ceil_div(seen.end, chunk_keys);
  double* numbers = nullptr;
  const PassMemory states(pool_, [&](ArrayPlaces& places) {
    numbers =
        places.take<double>(tile_count * std::min(chunks_at_a_time, end - begin) * tile_numbers);
  });
  for (Index first = begin; first < end; first += chunks_at_a_time) {
    const Index chunks = std::min(chunks_at_a_time, end - first);
    const auto states_of = [&](Index tile, Index chunk) {
      return states_at(numbers + (tile * chunks + chunk) * tile_numbers, tile_rows);
    };
    const Index items = tile_count * chunks;
    // Chunks that follow each other, so that a thread reads on from what it fetched ahead.
    constexpr Index most_chunks_in_a_row = 8;
    constexpr Index items_of_a_thread = 8;
    const Index in_a_row =
        std::clamp<Index>(items / (items_of_a_thread * options_.threads), 1, most_chunks_in_a_row);
    for_each_item(ceil_div(items, in_a_row), options_.threads, poll, [&](Index which, int worker) {
      for (Index item = which * in_a_row; item < std::min(items, (which + 1) * in_a_row); ++item) {
        const Index tile = item / chunks;
        const Index chunk = item % chunks;
        const Index key = (first + chunk) * chunk_keys;
        accumulate_chunk(k, v, block, tiles[static_cast<std::size_t>(tile)],
                         {key, std::min(key + chunk_keys, block.keys.count)}, seen.end,
                         workspaces_[static_cast<std::size_t>(worker)], states_of(tile, chunk));
      }
    });
    for_each_item(tile_count, options_.threads, {}, [&](Index item, int) {
      const auto& tile = tiles[static_cast<std::size_t>(item)];
      for (Index chunk = 0; chunk < chunks; ++chunk) {
        for (Index r = 0; r < tile.rows.size(); ++r) {
          const auto of = states_of(item, chunk).from(r, options_.value_dim);
          const Index row = tile.rows.begin + r;
          merge(tile.key_head * group() + row % group(), block.queries.row + row / group(),
                {.softmax = of.softmax(),
                 .self_logit = *of.self_logit,
                 .values = {of.values, static_cast<std::size_t>(options_.value_dim)}});
        }
      }
    });
  }
}

template <class T>
void CpuFewQueries<T>::accumulate_chunk(ConstTensorView k, ConstTensorView v, const Block& block,
                                        const Rows& tile, Interval keys, Index rows_end,
                                        const Workspace& workspace, const TileState& states) const {
  const Index d = queries_.q.dim;
  const Index count = tile.rows.size();
  states.clear(count);
  std::fill_n(states.values, count * options_.value_dim, 0.0);
  for (Index r = 0; r < count; ++r) {
    const Index query = (tile.rows.begin + r) / group();
    const Index head = tile.key_head * group() + (tile.rows.begin + r) % group();
    const Index row = block.queries.row + query;
    const auto q = tile_rows(queries_.q, row, head, 1, workspace.q + r * d);
    if (q.data != workspace.q + r * d) std::copy_n(q.data, d, workspace.q + r * d);
    workspace.scale[r] = queries_.scale.at(row, head);
    const auto visible = block.visible(query);
    workspace.visible[r] = {visible.begin - keys.begin, visible.end - keys.begin};
    workspace.self_key[r] = (options_.statistics ? block.self_key(query) : Index{-1}) - keys.begin;
  }
  const Interval seen{std::max<Index>(0, workspace.visible[0].begin),
                      std::min(keys.size(), workspace.visible[count - 1].end)};
  if (seen.empty()) return;
  const ForwardTile<T> whole{.rows = {count, workspace.visible},
                             .dim = d,
                             .value_dim = options_.value_dim,
                             .q = workspace.q,
                             .q_stride = d,
                             .scale = workspace.scale,
                             .keys = workspace.keys,
                             .values = workspace.values,
                             .self_key = workspace.self_key,
                             .keys_begin = seen.begin,
                             .keys_end = seen.end,
                             .statistics = options_.statistics,
                             .state = states,
                             .scratch = workspace.scratch};
  const Index first_key = block.keys.row + keys.begin;
  if (!as_rows(count)) {
    pack(k, v, tile.key_head, first_key, seen, keys.size(), workspace);
    functions_.accumulate(whole);
    return;
  }
  with_element(k.type, [&]<class S>() {
    if constexpr (std::is_same_v<Accumulator<S>, T>) {
      const auto& functions = row_functions<S>();
      const bool by_pairs = std::is_same_v<S, BFloat16> && queries_.q.type == k.type &&
                            d % (2 * functions_.lanes) == 0 && multiplies_bf16();
      const auto accumulate = by_pairs ? functions.accumulate_pairs : functions.accumulate;
      accumulate({.tile = whole,
                  .keys = k.row<S>(first_key, tile.key_head),
                  .key_stride = k.row_stride,
                  .values = v.row<S>(first_key, tile.key_head),
                  .value_stride = v.row_stride,
                  .rows_end = rows_end - keys.begin,
                  .from_memory = k.rows * k.heads * (k.dim + v.dim) * Index{sizeof(S)} >
                                 last_cache_share() * options_.threads});
    }
  });
}

template <class T>
void CpuFewQueries<T>::pack(ConstTensorView k, ConstTensorView v, Index key_head, Index chunk_row,
                            Interval keys, Index chunk_size, const Workspace& workspace) const {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  for (Index first = floor_div(keys.begin, key_tile<T>) * key_tile<T>; first < keys.end;
       first += key_tile<T>) {
    const Index present = std::min(key_tile<T>, chunk_size - first);
    const auto key_rows = tile_rows(k, chunk_row + first, key_head, present, workspace.staging);
    functions_.pack_keys(key_rows.data, key_rows.stride, present, d, workspace.keys + first * d);
    const auto value_rows = tile_rows(v, chunk_row + first, key_head, present, workspace.staging);
    functions_.pack_values(value_rows.data, value_rows.stride, present, d_v,
                           workspace.values + first * functions_.padded(d_v));
  }
}

template <class T>
bool CpuFewQueries<T>::as_rows(Index rows) const {
  // Packing a key costs about as much as its products with so many rows save.
  constexpr Index worth_packing = 16;
  return rows < worth_packing && queries_.q.dim % functions_.lanes == 0 &&
         options_.value_dim % functions_.lanes == 0;
}

template class CpuFewQueries<float>;
template class CpuFewQueries<double>;

}  // namespace annulus::kernels
