#pragma once
// Where the keys of growing sequences lie: a pure value that can be printed and checked.

#include <optional>
#include <span>
#include <vector>

#include "annulus/plan/run.hpp"
#include "annulus/plan/sharding.hpp"

namespace annulus {

/// Tokens at the end of some sequences, and who holds which of them. Runs are positions in their
/// sequence, which is the `document` of the run.
struct CacheChunk {
  std::vector<Shard> shards;  ///< one per rank

  /// Tokens that `rank` holds.
  [[nodiscard]] Index rows(int rank) const {
    return row_count(shards[static_cast<std::size_t>(rank)]);
  }
};

/// Which tokens of which sequences each rank holds.
class CacheLayout {
 public:
  /// Empty sequences on `ranks` ranks. Throws InputError for fewer than one of either.
  CacheLayout(Index sequences, int ranks);

  [[nodiscard]] Index sequences() const { return static_cast<Index>(lengths_.size()); }
  [[nodiscard]] int ranks() const { return ranks_; }
  /// Tokens of a sequence, on all ranks.
  [[nodiscard]] Index length(Index sequence) const {
    return lengths_[static_cast<std::size_t>(sequence)];
  }
  /// The tokens of `sequence` that `rank` holds, in the order in which it holds them.
  [[nodiscard]] const Shard& held(int rank, Index sequence) const {
    return held_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(sequence)];
  }

  /// The next counts[b] tokens of each sequence b. Without `sharding`, position p of sequence b is
  /// on rank (p + b) mod P, so that every sequence grows evenly on all ranks however it grows; with
  /// it, the chunk is cut as if its tokens were documents. Throws InputError where there is not one
  /// count, at least 0, for each sequence.
  [[nodiscard]] CacheChunk next(std::span<const Index> counts,
                                std::optional<Sharding> sharding = {}) const;

  /// Appends a chunk. Throws InputError unless it holds every position from the end of each
  /// sequence on exactly once.
  void append(const CacheChunk& chunk);

 private:
  int ranks_;
  std::vector<Index> lengths_;
  std::vector<std::vector<Shard>> held_;  // of each rank and sequence
};

}  // namespace annulus
