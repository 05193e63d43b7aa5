#include "annulus/plan/sharding.hpp"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "plan/intervals.hpp"
#include "plan/shard_map.hpp"

namespace annulus {
namespace {

const std::vector<std::vector<Index>> packings{{0, 0},          {0, 1},
                                               {0, 7},          {0, 101},
                                               {0, 64},         {0, 3, 3, 10},
                                               {0, 1, 2, 3, 4}, {0, 37, 48},
                                               {0, 0, 0, 5, 5}, {0, 13, 26, 39, 52},
                                               {0, 5, 5, 5, 6}, {0, 100, 101, 200}};
constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8, 13};

/// What a causal mask lets the rows of a run see.
Index causal_work(const Run& run) {
  return run.count * (run.first + 1) + run.count * (run.count - 1) / 2;
}

/// How often each packed row is held by a shard of `shards`.
std::vector<int> holders(const std::vector<Shard>& shards, const std::vector<Index>& offsets) {
  std::vector<int> count(static_cast<std::size_t>(offsets.back()));
  for (const auto& shard : shards) {
    for (const Index row : packed_rows(shard, offsets)) ++count[static_cast<std::size_t>(row)];
  }
  return count;
}

TEST(Sharding, EveryRowIsHeldExactlyOnce) {
  for (const auto sharding : all_shardings()) {
    for (const auto& offsets : packings) {
      for (const int ranks : rank_counts) {
        const auto shards = make_shards(sharding, offsets, ranks, causal_work);
        ASSERT_EQ(shards.size(), static_cast<std::size_t>(ranks));
        for (const int count : holders(shards, offsets)) EXPECT_EQ(count, 1) << name_of(sharding);
      }
    }
  }
}

TEST(Sharding, RunsStayInTheirDocumentAndInOrder) {
  for (const auto sharding : all_shardings()) {
    for (const auto& offsets : packings) {
      for (const int ranks : rank_counts) {
        for (const auto& shard : make_shards(sharding, offsets, ranks, causal_work)) {
          Index document = 0;
          for (const auto& run : shard) {
            EXPECT_GT(run.count, 0);
            EXPECT_GE(run.first, 0);
            EXPECT_GE(run.stride, 1);
            EXPECT_GE(run.document, document);
            document = run.document;
            const auto at = static_cast<std::size_t>(document);
            EXPECT_LT(run.first + (run.count - 1) * run.stride, offsets[at + 1] - offsets[at]);
          }
        }
      }
    }
  }
}

TEST(Sharding, ShardsDifferByFewRows) {
  for (const auto sharding : all_shardings()) {
    for (const auto& offsets : packings) {
      for (const int ranks : rank_counts) {
        Index least = offsets.back();
        Index most = 0;
        for (const auto& shard : make_shards(sharding, offsets, ranks)) {
          least = std::min(least, row_count(shard));
          most = std::max(most, row_count(shard));
        }
        // Zigzag rounds two chunks per document, the others one cut of the whole.
        const auto documents = static_cast<Index>(offsets.size()) - 1;
        EXPECT_LE(most - least, sharding == Sharding::zigzag ? 2 * documents : 1);
      }
    }
  }
}

TEST(Sharding, ManyShortDocumentsSpreadEvenlyInZigzag) {
  std::vector<Index> offsets(1001);
  for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<Index>(i) * 3;
  for (const auto& shard : make_shards(Sharding::zigzag, offsets, 4)) {
    EXPECT_NEAR(static_cast<double>(row_count(shard)), 750, 40);
  }
}

/// Mean over ranks of the work / the largest.
double balance_of(const std::vector<Shard>& shards) {
  double all = 0;
  double largest = 0;
  for (const auto& shard : shards) {
    double work = 0;
    for (const auto& run : shard) work += static_cast<double>(causal_work(run));
    all += work;
    largest = std::max(largest, work);
  }
  return all / (largest * static_cast<double>(shards.size()));
}

TEST(Balanced, IsContiguousWhereThatIsEven) {
  EXPECT_EQ(make_shards(Sharding::balanced, std::vector<Index>{0, 101}, 5),
            make_shards(Sharding::contiguous, std::vector<Index>{0, 101}, 5));
}

TEST(Balanced, IsZigzagForOneCausalDocument) {
  const std::vector<Index> offsets{0, 960};
  for (const int ranks : {2, 3, 8}) {
    const auto balanced = make_shards(Sharding::balanced, offsets, ranks, causal_work);
    const auto zigzag = make_shards(Sharding::zigzag, offsets, ranks);
    for (std::size_t rank = 0; rank < balanced.size(); ++rank) {
      EXPECT_EQ(packed_rows(balanced[rank], offsets), packed_rows(zigzag[rank], offsets));
    }
  }
}

TEST(Balanced, EvensOutDocumentsOfAnyLengths) {
  // One that spans all ranks, some of middling length, and a thousand of one token.
  std::vector<Index> offsets{0, 40000, 40300, 47000, 47001, 51000, 60000};
  for (Index i = 0; i < 1000; ++i) offsets.push_back(offsets.back() + 1);
  for (const int ranks : rank_counts) {
    const auto shards = make_shards(Sharding::balanced, offsets, ranks, causal_work);
    for (const int count : holders(shards, offsets)) ASSERT_EQ(count, 1);
    EXPECT_GE(balance_of(shards), 0.97) << ranks;
    // Rows as well, to an eighth.
    const double even = static_cast<double>(offsets.back()) / ranks;
    for (const auto& shard : shards) {
      EXPECT_NEAR(static_cast<double>(row_count(shard)), even, even / 8) << ranks;
    }
  }
  EXPECT_LT(balance_of(make_shards(Sharding::contiguous, offsets, 8)), 0.6);
}

TEST(Balanced, KeepsDocumentsWholeThatAreNearlyEven) {
  const std::vector<Index> offsets{0, 1010, 1990, 3010, 4000};
  const auto shards = make_shards(Sharding::balanced, offsets, 4);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    ASSERT_EQ(shards[rank].size(), 1U);
    EXPECT_EQ(shards[rank][0].document, static_cast<Index>(rank));
  }
}

TEST(Sharding, KnownCuts) {
  const auto contiguous = make_shards(Sharding::contiguous, std::vector<Index>{0, 6, 10}, 2);
  EXPECT_EQ(contiguous[0], (Shard{{0, 0, 1, 5}}));
  EXPECT_EQ(contiguous[1], (Shard{{0, 5, 1, 1}, {1, 0, 1, 4}}));
  const auto zigzag = make_shards(Sharding::zigzag, std::vector<Index>{0, 8}, 2);
  EXPECT_EQ(zigzag[0], (Shard{{0, 0, 1, 2}, {0, 6, 1, 2}}));
  EXPECT_EQ(zigzag[1], (Shard{{0, 2, 1, 2}, {0, 4, 1, 2}}));
  const auto striped = make_shards(Sharding::striped, std::vector<Index>{0, 4, 7}, 3);
  EXPECT_EQ(striped[0], (Shard{{0, 0, 3, 2}, {1, 2, 3, 1}}));
}

TEST(Sharding, NamesReadBack) {
  for (const auto sharding : all_shardings()) {
    EXPECT_EQ(parse_sharding(name_of(sharding)), sharding);
  }
  EXPECT_THROW((void)parse_sharding("zig-zag"), InputError);
}

/// Whether `part` lies in the union of `intervals`.
bool covers(const std::vector<Interval>& intervals, Index at) {
  return std::ranges::any_of(intervals, [&](const Interval& part) { return part.contains(at); });
}

// What is said of ranges of ranks and of positions leaves nobody and nothing out, and for one
// document of many rows it is exact.
TEST(Sharding, RangesLeaveNothingOut) {
  for (const auto sharding : all_shardings()) {
    for (const auto& offsets : packings) {
      for (const int ranks : rank_counts) {
        SCOPED_TRACE(std::string(name_of(sharding)) + " P=" + std::to_string(ranks));
        const auto map = make_shard_map(sharding, offsets, ranks, causal_work);
        for (int rank = 0; rank < ranks; ++rank) {
          for (const auto& run : map->of(rank)) {
            for (Index i = 0; i < run.count; ++i) {
              const Index position = run.first + i * run.stride;
              std::vector<Interval> holders;
              map->add_holders(run.document, {position, position + 1}, holders);
              EXPECT_TRUE(covers(holders, rank)) << run.document << ":" << position;
              std::vector<Interval> positions;
              map->add_positions(run.document, {rank, rank + 1}, positions);
              EXPECT_TRUE(covers(positions, position)) << run.document << ":" << position;
            }
          }
        }
      }
    }
  }
}

TEST(Sharding, RangesOfLongDocumentsAreExact) {
  const std::vector<Index> offsets{0, 1000};
  const auto ranks_of = [&](const ShardMap& map, Interval positions) {
    std::vector<Interval> ranks;
    map.add_holders(0, positions, ranks);
    unite(ranks);
    return ranks;
  };
  const auto positions_of = [&](const ShardMap& map, Interval ranks) {
    std::vector<Interval> positions;
    map.add_positions(0, ranks, positions);
    unite(positions);
    return positions;
  };
  using Intervals = std::vector<Interval>;
  const auto contiguous = make_shard_map(Sharding::contiguous, offsets, 10);
  EXPECT_EQ(ranks_of(*contiguous, {99, 301}), (Intervals{{0, 4}}));
  EXPECT_EQ(positions_of(*contiguous, {3, 5}), (Intervals{{300, 500}}));
  const auto zigzag = make_shard_map(Sharding::zigzag, offsets, 10);  // chunks of 50
  EXPECT_EQ(ranks_of(*zigzag, {100, 200}), (Intervals{{2, 4}}));
  EXPECT_EQ(ranks_of(*zigzag, {450, 650}), (Intervals{{7, 10}}));
  EXPECT_EQ(positions_of(*zigzag, {0, 1}), (Intervals{{0, 50}, {950, 1000}}));
  const auto striped = make_shard_map(Sharding::striped, offsets, 10);
  EXPECT_EQ(ranks_of(*striped, {108, 111}), (Intervals{{0, 1}, {8, 10}}));
  const auto balanced = make_shard_map(Sharding::balanced, offsets, 10, causal_work);
  EXPECT_EQ(positions_of(*balanced, {0, 1}), positions_of(*zigzag, {0, 1}));
}

}  // namespace
}  // namespace annulus
