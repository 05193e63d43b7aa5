#pragma once
// A shard's rows between file and memory.

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "annulus/plan/run.hpp"
#include "results/h5/access.hpp"
#include "results/h5/array.hpp"
#include "results/slabs.hpp"

namespace annulus::results {

/// A dataset with rows, opened, and what is needed to transfer some of them.
struct RowTransfer {
  const h5::Access& access;
  comm::Communicator& communicator;
  const h5::Handle& dataset;
  hid_t memory_type;        ///< must equal the file's type, for conversion would break collectives
  std::string subject;      ///< for messages: FILE: /dataset
  bool must_be_collective;  ///< where the access is: false for chunked datasets
  Index largest_bytes;      ///< of one transfer
};

/// The rows [first, first + count) of the shard, in its order, and their bytes in memory.
using RowPiece = std::function<void(Index first, Index count, std::span<std::byte> bytes)>;

/// Collective. Reads the rows of `shard` in pieces; `take` gets each, in order. Every rank makes as
/// many transfers as the one that needs most. Where any rank fails, in HDF5 or in `take`, all
/// throw.
void read_pieces(const RowTransfer& transfer, const RowLayout& layout, const Shard& shard,
                 const RowPiece& take);

/// Collective. Writes likewise; `give` fills each piece.
void write_pieces(const RowTransfer& transfer, const RowLayout& layout, const Shard& shard,
                  const RowPiece& give);

}  // namespace annulus::results
