#include "results/row_layout.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

/// `a` and then `b` as one, if they are one. A single row goes along with any stride.
std::optional<RowRange> joined(const RowRange& a, const RowRange& b) {
  const Index step = b.first - a.last();
  const bool fits = a.document == b.document && step >= 1 && (a.count == 1 || a.stride == step) &&
                    (b.count == 1 || b.stride == step);
  if (!fits) return std::nullopt;
  return RowRange{a.document, a.first, step, a.count + b.count};
}

std::vector<RowRange> whole_ranges_of(const RowLayout& layout, const Shard& shard) {
  std::vector<RowRange> list;
  for (const auto& run : shard) {
    const Index offset = layout.offsets[static_cast<std::size_t>(run.document)];
    const auto next = has_batch_axis(layout.axes)
                          ? RowRange{run.document, run.first, run.stride, run.count}
                          : RowRange{0, offset + run.first, run.stride, run.count};
    const auto both = list.empty() ? std::nullopt : joined(list.back(), next);
    if (both) {
      list.back() = *both;
    } else {
      list.push_back(next);
    }
  }
  return list;
}

}  // namespace

std::size_t RowLayout::row_axis() const {
  const bool heads_first = axes == ArrayLayout::bhnd && !trailing.empty();
  return (has_batch_axis(axes) ? 1U : 0U) + (heads_first ? 1U : 0U);
}

Index RowLayout::planes() const {
  const bool heads_first = axes == ArrayLayout::bhnd && !trailing.empty();
  return heads_first ? static_cast<Index>(trailing.front()) : 1;
}

Index RowLayout::row_elements() const {
  return static_cast<Index>(
      std::accumulate(trailing.begin(), trailing.end(), hsize_t{1}, std::multiplies<>()));
}

std::vector<hsize_t> RowLayout::dims() const {
  std::vector<hsize_t> dims = trailing;
  const bool batch = has_batch_axis(axes);
  const auto rows = static_cast<hsize_t>(batch ? offsets[1] : offsets.back());
  const std::size_t axis = row_axis();
  if (batch) dims.insert(dims.begin(), offsets.size() - 1);
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), rows);
  return dims;
}

Index RowLayout::place_of(Index document, Index plane, Index row) const {
  if (!has_batch_axis(axes)) return row;
  return (document * planes() + plane) * offsets[1] + row;
}

std::vector<Index> RowLayout::index_of(const Shard& shard, Index row, Index column) const {
  std::vector<Index> index;
  Index in_file = -1;
  for (const auto& run : shard) {
    if (row >= run.count) {
      row -= run.count;
      continue;
    }
    in_file = run.first + row * run.stride;
    if (has_batch_axis(axes)) {
      index.push_back(run.document);
    } else {
      in_file += offsets[static_cast<std::size_t>(run.document)];
    }
    break;
  }
  ensure(in_file >= 0, "a row is outside its shard");
  Index below = row_elements();
  for (const hsize_t length : trailing) {
    below /= static_cast<Index>(length);
    index.push_back(column / below);
    column %= below;
  }
  index.insert(index.begin() + static_cast<std::ptrdiff_t>(row_axis()), in_file);
  return index;
}

std::vector<RowRange> ranges_of(const RowLayout& layout, const Shard& shard, Index largest_rows) {
  ensure(largest_rows >= 1, "a range must have room for a row");
  std::vector<RowRange> ranges;
  for (const auto& whole : whole_ranges_of(layout, shard)) {
    for (Index done = 0; done < whole.count; done += largest_rows) {
      ranges.push_back({whole.document, whole.first + done * whole.stride, whole.stride,
                        std::min(largest_rows, whole.count - done)});
    }
  }
  return ranges;
}

h5::Slab slab_of(const RowLayout& layout, const RowRange& range) {
  h5::Slab slab;
  slab.count = layout.dims();
  slab.start.assign(slab.count.size(), 0);
  slab.stride.assign(slab.count.size(), 1);
  if (has_batch_axis(layout.axes)) {
    slab.start[0] = static_cast<hsize_t>(range.document);
    slab.count[0] = 1;
  }
  const std::size_t axis = layout.row_axis();
  slab.start[axis] = static_cast<hsize_t>(range.first);
  slab.stride[axis] = static_cast<hsize_t>(range.stride);
  slab.count[axis] = static_cast<hsize_t>(range.count);
  return slab;
}

}  // namespace annulus::results
