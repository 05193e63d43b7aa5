#include "annulus/plan/sharding.hpp"

#include <numeric>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

const std::vector<std::vector<Index>> packings{{0, 0},          {0, 1},
                                               {0, 7},          {0, 101},
                                               {0, 64},         {0, 3, 3, 10},
                                               {0, 1, 2, 3, 4}, {0, 37, 48},
                                               {0, 0, 0, 5, 5}, {0, 13, 26, 39, 52},
                                               {0, 5, 5, 5, 6}, {0, 100, 101, 200}};
constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8, 13};

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
        const auto shards = make_shards(sharding, offsets, ranks);
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
        for (const auto& shard : make_shards(sharding, offsets, ranks)) {
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

}  // namespace
}  // namespace annulus
