#include "results/slabs.hpp"

#include <algorithm>
#include <optional>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

/// Rows in arithmetic progression along the row axis of one document, or of the packed array.
struct Progression {
  Index document;  ///< 0 without a batch axis
  Index first;
  Index stride;
  Index count;

  [[nodiscard]] Index last() const { return first + (count - 1) * stride; }
};

/// `a` and then `b` as one, if they are one. A single row goes along with any stride.
std::optional<Progression> joined(const Progression& a, const Progression& b) {
  const Index step = b.first - a.last();
  const bool fits = a.document == b.document && step >= 1 && (a.count == 1 || a.stride == step) &&
                    (b.count == 1 || b.stride == step);
  if (!fits) return std::nullopt;
  return Progression{a.document, a.first, step, a.count + b.count};
}

std::vector<Progression> progressions_of(const RowLayout& layout, const Shard& shard) {
  std::vector<Progression> list;
  for (const auto& run : shard) {
    const Index offset = layout.offsets[static_cast<std::size_t>(run.document)];
    const auto next = layout.has_batch_axis
                          ? Progression{run.document, run.first, run.stride, run.count}
                          : Progression{0, offset + run.first, run.stride, run.count};
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

std::vector<hsize_t> RowLayout::dims() const {
  std::vector<hsize_t> dims;
  if (has_batch_axis) {
    dims.push_back(offsets.size() - 1);
    dims.push_back(static_cast<hsize_t>(offsets[1]));
  } else {
    dims.push_back(static_cast<hsize_t>(offsets.back()));
  }
  dims.insert(dims.end(), trailing.begin(), trailing.end());
  return dims;
}

Index RowLayout::row_elements() const {
  Index elements = 1;
  for (const hsize_t length : trailing) elements *= static_cast<Index>(length);
  return elements;
}

std::vector<Index> RowLayout::index_of(const Shard& shard, Index row, Index column) const {
  std::vector<Index> index;
  for (const auto& run : shard) {
    if (row >= run.count) {
      row -= run.count;
      continue;
    }
    const Index in_document = run.first + row * run.stride;
    if (has_batch_axis) {
      index = {run.document, in_document};
    } else {
      index = {offsets[static_cast<std::size_t>(run.document)] + in_document};
    }
    break;
  }
  ensure(!index.empty(), "a row is outside its shard");
  Index below = row_elements();
  for (const hsize_t length : trailing) {
    below /= static_cast<Index>(length);
    index.push_back(column / below);
    column %= below;
  }
  return index;
}

std::vector<h5::Slab> slabs_of(const RowLayout& layout, const Shard& shard, Index largest_rows) {
  ensure(largest_rows >= 1, "a slab must have room for a row");
  std::vector<h5::Slab> slabs;
  for (const auto& part : progressions_of(layout, shard)) {
    for (Index done = 0; done < part.count; done += largest_rows) {
      const auto count = static_cast<hsize_t>(std::min(largest_rows, part.count - done));
      const auto first = static_cast<hsize_t>(part.first + done * part.stride);
      h5::Slab slab;
      if (layout.has_batch_axis) slab = {{static_cast<hsize_t>(part.document)}, {1}, {1}};
      slab.start.push_back(first);
      slab.stride.push_back(static_cast<hsize_t>(part.stride));
      slab.count.push_back(count);
      slab.start.resize(slab.start.size() + layout.trailing.size(), 0);
      slab.stride.resize(slab.stride.size() + layout.trailing.size(), 1);
      slab.count.insert(slab.count.end(), layout.trailing.begin(), layout.trailing.end());
      slabs.push_back(std::move(slab));
    }
  }
  return slabs;
}

Index row_count(const RowLayout& layout, const h5::Slab& slab) {
  return static_cast<Index>(slab.count[layout.has_batch_axis ? 1 : 0]);
}

}  // namespace annulus::results
