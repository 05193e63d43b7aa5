#pragma once
// A shard's rows, from memory to their place in the file.

#include "annulus/base/tensor_view.hpp"
#include "annulus/plan/run.hpp"
#include "results/posix_file.hpp"
#include "results/row_layout.hpp"

namespace annulus::results {

/// An array in a file, stored in one piece.
struct RowTarget {
  const PosixFile& file;
  Index offset;  ///< of its first byte
  RowLayout layout;
  Index largest_bytes;  ///< of one buffer
};

/// Writes `rows`, those of `shard` in its order, in their own type. Ranks write the same array at
/// once, each other rows, and need not wait for each other.
void write_rows(const RowTarget& target, const Shard& shard, ConstTensorView rows);

}  // namespace annulus::results
