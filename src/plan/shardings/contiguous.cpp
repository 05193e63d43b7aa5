// The packed rows cut into P pieces.
#include <algorithm>

#include "plan/shardings/shardings.hpp"

namespace annulus::shardings {
namespace {

class Contiguous final : public ShardMap {
 public:
  using ShardMap::ShardMap;

  [[nodiscard]] Shard of(int rank) const override {
    Shard shard;
    const Index end = cut(rank + 1);
    Index row = cut(rank);
    const auto after = std::ranges::upper_bound(offsets(), row);
    for (Index document = after - offsets().begin() - 1; row < end; ++document) {
      const Index stop = std::min(end, offset(document + 1));
      if (stop > row) {
        shard.push_back(
            {.document = document, .first = row - offset(document), .count = stop - row});
      }
      row = stop;
    }
    return shard;
  }

  void add_holders(Index document, Interval positions,
                   std::vector<Interval>& ranks) const override {
    ranks.push_back({holder(offset(document) + positions.begin),
                     holder(offset(document) + positions.end - 1) + 1});
  }

  void add_positions(Index document, Interval held_by,
                     std::vector<Interval>& positions) const override {
    const Interval part{std::max<Index>(cut(held_by.begin) - offset(document), 0),
                        std::min(cut(held_by.end) - offset(document), length(document))};
    if (!part.empty()) positions.push_back(part);
  }

 private:
  /// The packed row with which `rank` begins.
  [[nodiscard]] Index cut(Index rank) const { return offsets().back() * rank / ranks(); }
  /// The last rank whose cut is not above `row`, a packed row.
  [[nodiscard]] Index holder(Index row) const {
    return ceil_div((row + 1) * ranks(), offsets().back()) - 1;
  }
};

}  // namespace

std::shared_ptr<const ShardMap> contiguous(std::span<const Index> offsets, int ranks,
                                           const RowWork& /*work*/) {
  return std::make_shared<Contiguous>(offsets, ranks);
}

}  // namespace annulus::shardings
