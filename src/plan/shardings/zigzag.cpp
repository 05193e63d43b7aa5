// Each document cut into 2P chunks; rank r holds chunks r and 2P - 1 - r.
#include <algorithm>

#include "plan/shardings/shardings.hpp"

namespace annulus::shardings {
namespace {

class Zigzag final : public ShardMap {
 public:
  using ShardMap::ShardMap;

  [[nodiscard]] Shard of(int rank) const override {
    Shard shard;
    shard.reserve(2);
    for (Index document = 0; document < documents(); ++document) {
      for (const Index chunk : {Index{rank}, chunks() - 1 - rank}) {
        const auto rows = rows_of(document, {chunk, chunk + 1});
        if (!rows.empty()) {
          shard.push_back({.document = document, .first = rows.begin, .count = rows.size()});
        }
      }
    }
    return shard;
  }

  void add_holders(Index document, Interval positions,
                   std::vector<Interval>& ranks) const override {
    const Index first = chunk_of(document, positions.begin);
    const Index end = chunk_of(document, positions.end - 1) + 1;
    const Index middle = chunks() / 2;
    if (first < middle) ranks.push_back({first, std::min(end, middle)});
    if (end > middle) ranks.push_back({chunks() - end, chunks() - std::max(first, middle)});
  }

  void add_positions(Index document, Interval held_by,
                     std::vector<Interval>& positions) const override {
    for (const auto& part : {held_by, Interval{chunks() - held_by.end, chunks() - held_by.begin}}) {
      const auto rows = rows_of(document, part);
      if (!rows.empty()) positions.push_back(rows);
    }
  }

 private:
  [[nodiscard]] Index chunks() const { return 2 * Index{ranks()}; }

  /// The rows that do not divide by 2P go to other chunks in each document, so that many short
  /// documents spread evenly.
  [[nodiscard]] Index phase(Index document) const { return offset(document) % chunks(); }

  [[nodiscard]] Index boundary(Index document, Index chunk) const {
    if (chunk == 0) return 0;
    if (chunk == chunks()) return length(document);
    return (chunk * length(document) + phase(document)) / chunks();
  }

  [[nodiscard]] Interval rows_of(Index document, Interval part) const {
    return {boundary(document, part.begin), boundary(document, part.end)};
  }

  /// The last chunk whose boundary is not above `position`.
  [[nodiscard]] Index chunk_of(Index document, Index position) const {
    const Index chunk = ceil_div((position + 1) * chunks() - phase(document), length(document)) - 1;
    return std::clamp<Index>(chunk, 0, chunks() - 1);
  }
};

}  // namespace

std::shared_ptr<const ShardMap> zigzag(std::span<const Index> offsets, int ranks,
                                       const RowWork& /*work*/) {
  return std::make_shared<Zigzag>(offsets, ranks);
}

}  // namespace annulus::shardings
