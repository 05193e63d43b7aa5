#pragma once
// Which rank holds which rows, and which ranks hold some: what a sharding answers for any number of
// ranks without a table of them.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/plan/sharding.hpp"

namespace annulus {

/// The rows of documents with given cumulated lengths, spread over ranks. Ranges of ranks are
/// half-open, from 0 to ranks(). What `add_` functions append may say too much, never too little: a
/// rank that holds nothing asked for, or a position that no such rank holds.
class ShardMap {
 public:
  /// `offsets`: the D + 1 cumulated lengths of the documents, borrowed.
  ShardMap(std::span<const Index> offsets, int ranks) : offsets_(offsets), ranks_(ranks) {}
  ShardMap(const ShardMap&) = delete;
  ShardMap& operator=(const ShardMap&) = delete;
  virtual ~ShardMap() = default;

  [[nodiscard]] int ranks() const { return ranks_; }

  /// What `rank` holds.
  [[nodiscard]] virtual Shard of(int rank) const = 0;

  /// Appends the ranks that hold rows of `document` at `positions`, some of which are in it.
  virtual void add_holders(Index document, Interval positions,
                           std::vector<Interval>& ranks) const = 0;

  /// Appends the positions of `document` that `ranks` hold.
  virtual void add_positions(Index document, Interval ranks,
                             std::vector<Interval>& positions) const = 0;

  /// Whether rows of a document that are so far apart are on one rank; 0 where there is no such
  /// distance.
  [[nodiscard]] virtual Index period() const { return 0; }

 protected:
  [[nodiscard]] std::span<const Index> offsets() const { return offsets_; }
  [[nodiscard]] Index offset(Index document) const {
    return offsets_[static_cast<std::size_t>(document)];
  }
  [[nodiscard]] Index length(Index document) const {
    return offset(document + 1) - offset(document);
  }
  [[nodiscard]] Index documents() const { return static_cast<Index>(offsets_.size()) - 1; }

 private:
  std::span<const Index> offsets_;
  int ranks_;
};

/// How a sharding is made: `work` matters to `balanced` alone.
using MakeShardMap = std::shared_ptr<const ShardMap> (*)(std::span<const Index> offsets, int ranks,
                                                         const RowWork& work);

/// The map of `sharding`; borrows `offsets`.
[[nodiscard]] std::shared_ptr<const ShardMap> make_shard_map(Sharding sharding,
                                                             std::span<const Index> offsets,
                                                             int ranks, const RowWork& work = {});

}  // namespace annulus
