#include "kernels/cpu_backward_pass.hpp"

#include <algorithm>
#include <cmath>
#include <ranges>
#include <utility>

#include "annulus/base/error.hpp"
#include "kernels/cpu_buffer.hpp"
#include "kernels/for_each_item.hpp"
#include "kernels/tile_rows.hpp"

namespace annulus::kernels {
namespace {

/// The same pairs with queries and keys in each other's place.
Block swapped(const Block& block) {
  return {.queries = block.keys,
          .keys = block.queries,
          .mask = Mask::window(block.mask.right(), block.mask.left())};
}

/// Rows of `block` that see some of `columns`.
Interval rows_that_see(const Block& block, Interval columns) {
  const auto rows = std::views::iota(Index{0}, block.queries.count);
  const auto before = [&](Index i) { return block.visible(i).end <= columns.begin; };
  const auto not_past = [&](Index i) { return block.visible(i).begin < columns.end; };
  return {*std::ranges::partition_point(rows, before),
          *std::ranges::partition_point(rows, not_past)};
}

}  // namespace

template <class T>
CpuBackward<T>::CpuBackward(const BackwardQueries& queries, const PassOptions& options)
    : queries_(queries),
      options_(options),
      functions_(tile_functions<T>()),
      scaled_(allocate_zeros<T>(queries.q.heads * queries.q.rows * queries.q.dim)),
      lse_(at(queries.q.heads, 0)),
      mean_(lse_.size()),
      sums_(lse_.size() * static_cast<std::size_t>(queries.q.dim)) {
  const auto& q = queries.q;
  ensure(queries.scale.size() == lse_.size() && queries.mean.size() == lse_.size(),
         "one scale and mean per query row and head");
  ensure(queries.dout.has_shape(q.rows, q.heads, options.value_dim) &&
             queries.lse.has_shape(q.rows, q.heads, 1),
         "the gradient of the output and lse have the shapes of the pass");
  ensure(options.threads >= 1, "at least one thread");
  ensure(options.key_heads >= 1 && q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  std::vector<T> staging(static_cast<std::size_t>(q.dim));
  for (Index i = 0; i < q.rows; ++i) {
    for (Index h = 0; h < q.heads; ++h) {
      const auto given = static_cast<std::size_t>(i * q.heads + h);
      const T lse = *queries.lse.row<T>(i, h);
      lse_[at(h, i)] = std::isinf(lse) ? T{0} : lse;
      mean_[at(h, i)] = static_cast<T>(queries.mean[given]);
      const T* from = tile_rows(q, i, h, 1, staging.data()).data;
      for (Index c = 0; c < q.dim; ++c) {
        scaled(h, i)[c] = static_cast<T>(queries.scale[given] * static_cast<double>(from[c]));
      }
    }
  }
}

template <class T>
auto CpuBackward<T>::make_workspace() const -> Workspace {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index scores = query_tile * key_tile<T>;
  const Index longest_tile = std::max(query_tile, key_tile<T>);
  const Index sums = query_tile * functions_.padded(d);
  const Index value_sums = query_tile * functions_.padded(d_v);
  Workspace workspace{
      .memory = allocate_zeros<T>(query_tile * (d + d_v) + 2 * scores + sums + value_sums),
      .scratch = {},
      .visible = std::vector<Interval>(query_tile),
      .staging = std::vector<T>(static_cast<std::size_t>(longest_tile * d)),
      .value_staging = std::vector<T>(static_cast<std::size_t>(longest_tile * d_v))};
  T* next = workspace.memory.get();
  const auto take = [&](Index count) { return std::exchange(next, next + count); };
  // Vectors are loaded from all but the packed rows, which come last.
  workspace.scratch.weights = take(scores);
  workspace.scratch.gradients = take(scores);
  workspace.scratch.sums = take(sums);
  workspace.scratch.value_sums = take(value_sums);
  workspace.scratch.rows = take(query_tile * d);
  workspace.scratch.value_rows = take(query_tile * d_v);
  return workspace;
}

template <class T>
auto CpuBackward<T>::make_panel(Index heads, bool of_queries) const -> Panel {
  const Index all = heads * panel_columns;
  Panel panel{.heads = heads, .capacity = panel_columns};
  panel.columns = allocate_zeros<T>(all * queries_.q.dim);
  panel.value_columns = allocate_zeros<T>(all * options_.value_dim);
  panel.factors = allocate_zeros<T>(all * functions_.padded(queries_.q.dim));
  if (!of_queries) return panel;
  panel.value_factors = allocate_zeros<T>(all * functions_.padded(options_.value_dim));
  panel.lse = allocate_zeros<T>(all);
  panel.mean = allocate_zeros<T>(all);
  return panel;
}

template <class T>
void CpuBackward<T>::pack(Panel& panel, Index head, Index tile, Index count, TileRows<T> columns,
                          TileRows<T> values) const {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index place = head * panel.capacity + tile * key_tile<T>;
  functions_.pack_keys(columns.data, columns.stride, count, d, panel.columns.get() + place * d);
  functions_.pack_keys(values.data, values.stride, count, d_v,
                       panel.value_columns.get() + place * d_v);
  functions_.pack_values(columns.data, columns.stride, count, d,
                         panel.factors.get() + place * functions_.padded(d));
  if (panel.value_factors) {
    functions_.pack_values(values.data, values.stride, count, d_v,
                           panel.value_factors.get() + place * functions_.padded(d_v));
  }
}

template <class T>
void CpuBackward<T>::see(Workspace& workspace, const Block& block, Index first_row, Index rows,
                         Index first) {
  for (Index r = 0; r < rows; ++r) {
    const auto visible = block.visible(first_row + r);
    workspace.visible[static_cast<std::size_t>(r)] = {visible.begin - first, visible.end - first};
  }
}

template <class T>
Interval CpuBackward<T>::seen_columns(const Workspace& workspace, Index rows, Index columns) {
  return {std::max<Index>(0, workspace.visible.front().begin),
          std::min(columns, workspace.visible[static_cast<std::size_t>(rows - 1)].end)};
}

template <class T>
void CpuBackward<T>::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                                TensorView dk, TensorView dv, const Poll& poll) {
  ensure(k.heads == options_.key_heads && v.heads == options_.key_heads &&
             k.dim == queries_.q.dim && v.dim == options_.value_dim && k.rows == v.rows &&
             dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
         "keys, values and their gradients have the shapes of the pass");
  if (workspaces_.empty()) {
    for (int worker = 0; worker < options_.threads; ++worker) {
      workspaces_.push_back(make_workspace());
    }
    keys_ = make_panel(options_.key_heads, false);
    queries_panel_ = make_panel(queries_.q.heads, true);
  }
  for (const auto& block : blocks) {
    sweep_queries(k, v, block, poll);
    sweep_keys(k, v, swapped(block), dk, dv, poll);
  }
}

template <class T>
void CpuBackward<T>::sweep_queries(ConstTensorView k, ConstTensorView v, const Block& block,
                                   const Poll& poll) {
  const auto& q = queries_.q;
  for (Index first = 0; first < block.keys.count; first += panel_columns) {
    const Interval keys{first, std::min(first + panel_columns, block.keys.count)};
    const auto rows = rows_that_see(block, keys);
    if (rows.empty()) continue;
    const Index key_tiles = ceil_div(keys.size(), key_tile<T>);
    for_each_item(keys_.heads * key_tiles, options_.threads, poll, [&](Index item, int worker) {
      auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
      const Index head = item / key_tiles;
      const Index tile = item % key_tiles;
      const Index row = block.keys.row + first + tile * key_tile<T>;
      const Index count = std::min(key_tile<T>, keys.size() - tile * key_tile<T>);
      const auto key_rows = tile_rows(k, row, head, count, workspace.staging.data());
      const auto value_rows = tile_rows(v, row, head, count, workspace.value_staging.data());
      pack(keys_, head, tile, count, key_rows, value_rows);
    });
    const Index tiles = ceil_div(rows.size(), query_tile);
    for_each_item(q.heads * tiles, options_.threads, poll, [&](Index item, int worker) {
      auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
      const Index head = item / tiles;
      const Index first_row = rows.begin + item % tiles * query_tile;
      const Index count = std::min(query_tile, rows.end - first_row);
      see(workspace, block, first_row, count, first);
      const auto seen = seen_columns(workspace, count, keys.size());
      const Index row = block.queries.row + first_row;
      const Index place = head / (q.heads / options_.key_heads) * keys_.capacity;
      const auto dout = tile_rows(queries_.dout, row, head, count, workspace.value_staging.data());
      accumulate_gradients<T>(
          {.rows = {count, workspace.visible.data()},
           .dim = q.dim,
           .value_dim = options_.value_dim,
           .left = scaled(head, row),
           .left_stride = q.dim,
           .value_left = dout.data,
           .value_left_stride = dout.stride,
           .columns = keys_.columns.get() + place * q.dim,
           .value_columns = keys_.value_columns.get() + place * options_.value_dim,
           .factors = keys_.factors.get() + place * functions_.padded(q.dim),
           .value_factors = nullptr,
           .lse = &lse_[at(head, row)],
           .mean = &mean_[at(head, row)],
           .queries_are_rows = true,
           .columns_begin = seen.begin,
           .columns_end = seen.end,
           .sums = &sums_[at(head, row) * static_cast<std::size_t>(q.dim)],
           .sums_stride = q.dim,
           .value_sums = nullptr,
           .value_sums_stride = 0,
           .scratch = workspace.scratch});
    });
  }
}

template <class T>
void CpuBackward<T>::sweep_keys(ConstTensorView k, ConstTensorView v, const Block& block,
                                TensorView dk, TensorView dv, const Poll& poll) {
  const auto& q = queries_.q;
  for (Index first = 0; first < block.keys.count; first += panel_columns) {
    const Interval queries{first, std::min(first + panel_columns, block.keys.count)};
    const auto rows = rows_that_see(block, queries);
    if (rows.empty()) continue;
    const Index query_tiles = ceil_div(queries.size(), key_tile<T>);
    for_each_item(q.heads * query_tiles, options_.threads, poll, [&](Index item, int worker) {
      auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
      const Index head = item / query_tiles;
      const Index tile = item % query_tiles;
      const Index row = block.keys.row + first + tile * key_tile<T>;
      const Index count = std::min(key_tile<T>, queries.size() - tile * key_tile<T>);
      const auto dout_rows =
          tile_rows(queries_.dout, row, head, count, workspace.value_staging.data());
      pack(queries_panel_, head, tile, count, {scaled(head, row), q.dim}, dout_rows);
      const Index place = head * queries_panel_.capacity + tile * key_tile<T>;
      std::copy_n(&lse_[at(head, row)], count, queries_panel_.lse.get() + place);
      std::copy_n(&mean_[at(head, row)], count, queries_panel_.mean.get() + place);
    });
    const Index tiles = ceil_div(rows.size(), query_tile);
    for_each_item(options_.key_heads * tiles, options_.threads, poll, [&](Index item, int worker) {
      auto& workspace = workspaces_[static_cast<std::size_t>(worker)];
      const Index key_head = item / tiles;
      const Index first_row = rows.begin + item % tiles * query_tile;
      const Index count = std::min(query_tile, rows.end - first_row);
      see(workspace, block, first_row, count, first);
      const auto seen = seen_columns(workspace, count, queries.size());
      const Index row = block.queries.row + first_row;
      const Index group = q.heads / options_.key_heads;
      const auto key_rows = tile_rows(k, row, key_head, count, workspace.staging.data());
      const auto value_rows = tile_rows(v, row, key_head, count, workspace.value_staging.data());
      for (Index head = key_head * group; head < (key_head + 1) * group; ++head) {
        const Index place = head * queries_panel_.capacity;
        accumulate_gradients<T>(
            {.rows = {count, workspace.visible.data()},
             .dim = q.dim,
             .value_dim = options_.value_dim,
             .left = key_rows.data,
             .left_stride = key_rows.stride,
             .value_left = value_rows.data,
             .value_left_stride = value_rows.stride,
             .columns = queries_panel_.columns.get() + place * q.dim,
             .value_columns = queries_panel_.value_columns.get() + place * options_.value_dim,
             .factors = queries_panel_.factors.get() + place * functions_.padded(q.dim),
             .value_factors =
                 queries_panel_.value_factors.get() + place * functions_.padded(options_.value_dim),
             .lse = queries_panel_.lse.get() + place,
             .mean = queries_panel_.mean.get() + place,
             .queries_are_rows = false,
             .columns_begin = seen.begin,
             .columns_end = seen.end,
             .sums = dk.row<T>(row, key_head),
             .sums_stride = dk.row_stride,
             .value_sums = dv.row<T>(row, key_head),
             .value_sums_stride = dv.row_stride,
             .scratch = workspace.scratch});
      }
    });
  }
}

template <class T>
void CpuBackward<T>::finish(TensorView dq, std::span<double> dscale) {
  const auto& q = queries_.q;
  ensure(dq.has_shape(q.rows, q.heads, q.dim) && dscale.size() == lse_.size(),
         "the gradients have the shape of the pass");
  for_each_item(q.rows, options_.threads, {}, [&](Index i, int) {
    std::vector<T> staging(static_cast<std::size_t>(q.dim));
    for (Index h = 0; h < q.heads; ++h) {
      const auto given = static_cast<std::size_t>(i * q.heads + h);
      const T* sum = &sums_[at(h, i) * static_cast<std::size_t>(q.dim)];
      const T* query = tile_rows(q, i, h, 1, staging.data()).data;
      T* to = dq.row<T>(i, h);
      double product = 0;
      for (Index c = 0; c < q.dim; ++c) {
        to[c] = static_cast<T>(queries_.scale[given] * static_cast<double>(sum[c]));
        product += static_cast<double>(query[c]) * static_cast<double>(sum[c]);
      }
      dscale[given] = product;
    }
  });
}

template class CpuBackward<float>;
template class CpuBackward<double>;

}  // namespace annulus::kernels
