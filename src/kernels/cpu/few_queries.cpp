#include "kernels/cpu/few_queries.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/cpu/for_each_item.hpp"
#include "kernels/cpu/tile_rows.hpp"

namespace annulus::kernels {
namespace {

/// The states of a tile, laid out as the tile functions write them.
TileState states_at(double* numbers) {
  const auto part = [&](Index i) { return numbers + i * query_tile; };
  return {.maximum = part(0),
          .sum = part(1),
          .moment = part(2),
          .squares = part(3),
          .self_logit = part(4),
          .values = part(5)};
}

}  // namespace

template <class T>
CpuFewQueries<T>::CpuFewQueries(const Queries& queries, const PassOptions& options)
    : queries_(queries), options_(options), functions_(tile_functions<T>()) {}

template <class T>
auto CpuFewQueries<T>::make_workspace() const -> Workspace {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index padded = functions_.padded(d_v);
  const Index scores = query_tile * key_tile<T>;
  const Index sums = query_tile * functions_.lanes;
  Workspace workspace{
      .memory = allocate_zeros<T>(chunk_keys * (d + padded) + query_tile * (d + padded + 1) +
                                  scores + 3 * sums),
      .scratch = {},
      .keys = nullptr,
      .values = nullptr,
      .q = std::vector<T>(static_cast<std::size_t>(query_tile * d)),
      .scale = std::vector<double>(query_tile),
      .visible = std::vector<Interval>(query_tile),
      .self_key = std::vector<Index>(query_tile),
      .key_staging = std::vector<T>(static_cast<std::size_t>(chunk_keys * d)),
      .value_staging = std::vector<T>(static_cast<std::size_t>(chunk_keys * d_v))};
  T* next = workspace.memory.get();
  const auto take = [&](Index count) { return std::exchange(next, next + count); };
  workspace.keys = take(chunk_keys * d);
  workspace.values = take(chunk_keys * padded);
  auto& scratch = workspace.scratch;
  scratch = {.q = take(query_tile * d),
             .scale = nullptr,
             .scores = take(scores),
             .weights = nullptr,
             .maximum = take(query_tile),
             .out = take(query_tile * padded),
             .sum = take(sums),
             .moment = take(sums),
             .squares = take(sums)};
  scratch.weights = scratch.scores;
  return workspace;
}

template <class T>
void CpuFewQueries<T>::accumulate(ConstTensorView k, ConstTensorView v, const Block& block,
                                  const Poll& poll, const Merge& merge) {
  while (workspaces_.size() < static_cast<std::size_t>(options_.threads)) {
    workspaces_.push_back(make_workspace());
  }
  std::vector<Rows> tiles;
  const Index rows = block.queries.count * group();
  for (Index head = 0; head < options_.key_heads; ++head) {
    for (Index first = 0; first < rows; first += query_tile) {
      tiles.push_back({head, {first, std::min(first + query_tile, rows)}});
    }
  }
  const auto tile_count = static_cast<Index>(tiles.size());
  // All that some query sees is one interval.
  const Interval seen{block.visible(0).begin, block.visible(block.queries.count - 1).end};
  const Index begin = floor_div(seen.begin, chunk_keys);
  const Index end = ceil_div(seen.end, chunk_keys);
  for (Index first = begin; first < end; first += chunks_at_a_time) {
    const Index chunks = std::min(chunks_at_a_time, end - first);
    states_.resize(static_cast<std::size_t>(tile_count * chunks * tile_numbers()));
    const auto states_of = [&](Index tile, Index chunk) {
      return states_.data() + (tile * chunks + chunk) * tile_numbers();
    };
    for_each_item(tile_count * chunks, options_.threads, poll, [&](Index item, int worker) {
      const Index tile = item / chunks;
      const Index chunk = item % chunks;
      const Index key = (first + chunk) * chunk_keys;
      accumulate_chunk(k, v, block, tiles[static_cast<std::size_t>(tile)],
                       {key, std::min(key + chunk_keys, block.keys.count)},
                       workspaces_[static_cast<std::size_t>(worker)], states_of(tile, chunk));
    });
    const auto width = static_cast<std::size_t>(options_.value_dim);
    for_each_item(tile_count, options_.threads, {}, [&](Index item, int) {
      const auto& tile = tiles[static_cast<std::size_t>(item)];
      for (Index chunk = 0; chunk < chunks; ++chunk) {
        const auto states = states_at(states_of(item, chunk));
        for (Index r = 0; r < tile.rows.size(); ++r) {
          const Index row = tile.rows.begin + r;
          merge(tile.key_head * group() + row % group(), block.queries.row + row / group(),
                {.softmax = {states.maximum[r], states.sum[r], states.moment[r], states.squares[r]},
                 .self_logit = states.self_logit[r],
                 .values = std::span(states.values, query_tile * width)
                               .subspan(static_cast<std::size_t>(r) * width, width)});
        }
      }
    });
  }
}

template <class T>
void CpuFewQueries<T>::accumulate_chunk(ConstTensorView k, ConstTensorView v, const Block& block,
                                        const Rows& tile, Interval keys, Workspace& workspace,
                                        double* numbers) const {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index count = tile.rows.size();
  const auto states = states_at(numbers);
  std::fill_n(numbers, tile_numbers(), 0.0);
  std::fill_n(states.maximum, count, -std::numeric_limits<double>::infinity());
  std::fill_n(states.self_logit, count, -std::numeric_limits<double>::infinity());
  for (Index r = 0; r < count; ++r) {
    const auto at = static_cast<std::size_t>(r);
    const Index query = (tile.rows.begin + r) / group();
    const Index head = tile.key_head * group() + (tile.rows.begin + r) % group();
    const Index row = block.queries.row + query;
    const auto q = tile_rows(queries_.q, row, head, 1, workspace.key_staging.data());
    std::copy_n(q.data, d, workspace.q.data() + r * d);
    workspace.scale[at] = queries_.scale[static_cast<std::size_t>(row * queries_.q.heads + head)];
    const auto visible = block.visible(query);
    workspace.visible[at] = {visible.begin - keys.begin, visible.end - keys.begin};
    workspace.self_key[at] = (options_.statistics ? block.self_key(query) : Index{-1}) - keys.begin;
  }
  const Index begin = std::max<Index>(0, workspace.visible.front().begin);
  const Index end =
      std::min(keys.size(), workspace.visible[static_cast<std::size_t>(count - 1)].end);
  if (begin >= end) return;
  ForwardTile<T> whole{.rows = {count, workspace.visible.data()},
                       .dim = d,
                       .value_dim = d_v,
                       .q = workspace.q.data(),
                       .q_stride = d,
                       .scale = workspace.scale.data(),
                       .scale_stride = 1,
                       .keys = workspace.keys,
                       .values = workspace.values,
                       .self_key = workspace.self_key.data(),
                       .keys_begin = begin,
                       .keys_end = end,
                       .statistics = options_.statistics,
                       .state = states,
                       .scratch = workspace.scratch};
  const Index first_key = block.keys.row + keys.begin;
  if (as_rows(count)) {
    const auto key_rows =
        tile_rows(k, first_key, tile.key_head, keys.size(), workspace.key_staging.data());
    const auto value_rows =
        tile_rows(v, first_key, tile.key_head, keys.size(), workspace.value_staging.data());
    whole.keys = key_rows.data;
    whole.key_stride = key_rows.stride;
    whole.values = value_rows.data;
    whole.value_stride = value_rows.stride;
    functions_.accumulate_rows(whole);
    return;
  }
  const Index first_tile = floor_div(begin, key_tile<T>) * key_tile<T>;
  for (Index first = first_tile; first < end; first += key_tile<T>) {
    const Index present = std::min(key_tile<T>, keys.size() - first);
    const auto key_rows =
        tile_rows(k, first_key + first, tile.key_head, present, workspace.key_staging.data());
    functions_.pack_keys(key_rows.data, key_rows.stride, present, d, workspace.keys + first * d);
    const auto value_rows =
        tile_rows(v, first_key + first, tile.key_head, present, workspace.value_staging.data());
    functions_.pack_values(value_rows.data, value_rows.stride, present, d_v,
                           workspace.values + first * functions_.padded(d_v));
  }
  functions_.accumulate(whole);
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
