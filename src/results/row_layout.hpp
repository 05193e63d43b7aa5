#pragma once
// Where the rows of an array lie in its file, and which parts of it a shard is.

#include <hdf5.h>

#include <vector>

#include "annulus/plan/run.hpp"
#include "annulus/results/array_layout.hpp"
#include "results/h5/array.hpp"

namespace annulus::results {

/// Rows in arithmetic progression: of one document of a batch, or of the packed array, where
/// document is 0.
struct RowRange {
  Index document;
  Index first;
  Index stride;
  Index count;

  [[nodiscard]] Index last() const { return first + (count - 1) * stride; }
};

/// An array of `planes` planes of rows, one behind the other for each document. A row is all that
/// belongs to a token: where heads stand before rows, each plane has the elements of one head, else
/// there is one plane that has all.
struct RowLayout {
  std::vector<Index> offsets;  ///< D + 1 cumulated lengths
  ArrayLayout axes = ArrayLayout::nhd;
  std::vector<hsize_t> trailing;  ///< heads and dim, or heads, or nothing

  [[nodiscard]] std::vector<hsize_t> dims() const;
  /// Which of dims() counts rows.
  [[nodiscard]] std::size_t row_axis() const;
  [[nodiscard]] Index planes() const;
  /// Of a row, in all planes.
  [[nodiscard]] Index row_elements() const;
  [[nodiscard]] Index plane_elements() const { return row_elements() / planes(); }
  /// Rows of a plane that stand before this one in the file.
  [[nodiscard]] Index place_of(Index document, Index plane, Index row) const;
  /// The indices into the array of element `column` of `shard`'s row `row`.
  [[nodiscard]] std::vector<Index> index_of(const Shard& shard, Index row, Index column) const;
};

/// The shard in its order, no range with more than `largest_rows` rows (at least 1). Runs that
/// continue each other in the file are one range.
[[nodiscard]] std::vector<RowRange> ranges_of(const RowLayout& layout, const Shard& shard,
                                              Index largest_rows);

/// The elements of a range's rows, in all planes.
[[nodiscard]] h5::Slab slab_of(const RowLayout& layout, const RowRange& range);

}  // namespace annulus::results
