// Packed row i on rank i mod P.
#include <algorithm>

#include "plan/shardings/shardings.hpp"

namespace annulus::shardings {
namespace {

class Striped final : public ShardMap {
 public:
  using ShardMap::ShardMap;

  [[nodiscard]] Shard of(int rank) const override {
    Shard shard;
    for (Index document = 0; document < documents(); ++document) {
      const Index first = first_of(document, rank);
      if (first >= length(document)) continue;
      shard.push_back({.document = document,
                       .first = first,
                       .stride = ranks(),
                       .count = ceil_div(length(document) - first, ranks())});
    }
    return shard;
  }

  void add_holders(Index document, Interval positions,
                   std::vector<Interval>& ranks_out) const override {
    const Index begin = (offset(document) + positions.begin) % ranks();
    const Index end = begin + std::min<Index>(positions.size(), ranks());
    ranks_out.push_back({begin, std::min<Index>(end, ranks())});
    if (end > ranks()) ranks_out.push_back({0, end - ranks()});
  }

  void add_positions(Index document, Interval held_by,
                     std::vector<Interval>& positions) const override {
    if (length(document) > ranks()) {
      positions.push_back({0, length(document)});
      return;
    }
    const Index begin = first_of(document, held_by.begin);
    const Index end = begin + held_by.size();
    for (const auto& part : {Interval{0, end - ranks()}, Interval{begin, end}}) {
      const Interval rows{part.begin, std::min(part.end, length(document))};
      if (!rows.empty()) positions.push_back(rows);
    }
  }

  [[nodiscard]] Index period() const override { return ranks(); }

 private:
  /// Where the rows of `rank` would begin in the document.
  [[nodiscard]] Index first_of(Index document, Index rank) const {
    return (rank - offset(document) % ranks() + ranks()) % ranks();
  }
};

}  // namespace

std::shared_ptr<const ShardMap> striped(std::span<const Index> offsets, int ranks,
                                        const RowWork& /*work*/) {
  return std::make_shared<Striped>(offsets, ranks);
}

}  // namespace annulus::shardings
