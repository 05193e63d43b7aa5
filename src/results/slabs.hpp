#pragma once
// Which parts of a file's arrays a shard is.

#include <hdf5.h>

#include <span>
#include <vector>

#include "annulus/plan/run.hpp"
#include "results/h5/array.hpp"

namespace annulus::results {

/// How the rows of an array lie in the file. Row i of document D is [offsets[D] + i] of the leading
/// axis, or [D, i] with a batch axis. Behind stand `trailing` dimensions, heads and dim.
struct RowLayout {
  std::vector<Index> offsets;  ///< D + 1 cumulated lengths
  bool has_batch_axis = false;
  std::vector<hsize_t> trailing;

  [[nodiscard]] std::vector<hsize_t> dims() const;
  [[nodiscard]] Index row_elements() const;
  /// Elements from the start of the array to element `column` of `shard`'s row `row`, as indices.
  [[nodiscard]] std::vector<Index> index_of(const Shard& shard, Index row, Index column) const;
};

/// The shard as regular slabs, in its order, none with more than `largest_rows` rows (at least 1).
/// Runs that continue each other in the file are one slab.
[[nodiscard]] std::vector<h5::Slab> slabs_of(const RowLayout& layout, const Shard& shard,
                                             Index largest_rows);

/// Rows of a slab.
[[nodiscard]] Index row_count(const RowLayout& layout, const h5::Slab& slab);

}  // namespace annulus::results
