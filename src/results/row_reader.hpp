#pragma once
// A shard's rows, from the file to memory.

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "annulus/plan/run.hpp"
#include "results/h5/handle.hpp"
#include "results/row_layout.hpp"

namespace annulus::results {

/// A dataset with rows, open.
struct RowSource {
  const h5::Handle& dataset;
  hid_t type;           ///< of what is read: the file's, so that HDF5 needs no other buffer
  std::string subject;  ///< for messages: FILE: /dataset
  Index largest_bytes;  ///< of one transfer
};

/// The rows [first, first + count) of the shard, in its order; their bytes plane by plane.
using RowPiece = std::function<void(Index first, Index count, std::span<std::byte> bytes)>;

/// Reads the rows of `shard` in pieces; `take` gets each, in order. Every rank reads by itself, so
/// that one rank and several read the same kinds of datasets.
void read_rows(const RowSource& source, const RowLayout& layout, const Shard& shard,
               const RowPiece& take);

}  // namespace annulus::results
