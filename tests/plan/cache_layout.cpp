#include "annulus/plan/cache_layout.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

/// How often each position of `sequence` is held.
std::vector<int> holders(const CacheLayout& layout, Index sequence) {
  std::vector<int> count(static_cast<std::size_t>(layout.length(sequence)));
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    for (const auto& run : layout.held(rank, sequence)) {
      for (Index i = 0; i < run.count; ++i) {
        ++count.at(static_cast<std::size_t>(run.first + i * run.stride));
      }
    }
  }
  return count;
}

TEST(CacheLayout, HoldsEveryTokenOnceAndEvenly) {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    CacheLayout layout(4, ranks);
    std::vector<std::optional<Sharding>> shardings(all_shardings().begin(), all_shardings().end());
    shardings.push_back(std::nullopt);
    for (Index step = 0; step < 40; ++step) {
      const std::vector<Index> counts{1, step % 3, step % 7 == 0 ? 11 : 0, step == 0 ? 50 : 1};
      const auto sharding = step == 0
                                ? std::nullopt
                                : shardings[static_cast<std::size_t>(step % 6 == 5 ? step % 5 : 4)];
      layout.append(layout.next(counts, sharding));
    }
    for (Index sequence = 0; sequence < 4; ++sequence) {
      for (const int count : holders(layout, sequence)) ASSERT_EQ(count, 1);
    }
    EXPECT_EQ(layout.length(0), 40);
    EXPECT_EQ(layout.length(3), 89);
  }
}

TEST(CacheLayout, TokensOneByOneAreOneRunOfEachRank) {
  CacheLayout layout(2, 3);
  for (int step = 0; step < 30; ++step) layout.append(layout.next(std::vector<Index>{1, 1}));
  for (int rank = 0; rank < 3; ++rank) {
    ASSERT_EQ(layout.held(rank, 1).size(), 1U);
    EXPECT_EQ(layout.held(rank, 1)[0],
              (annulus::Run{.document = 1, .first = (rank + 2) % 3, .stride = 3, .count = 10}));
  }
}

TEST(CacheLayout, GrowsAfterAPrefillOfAnySharding) {
  CacheLayout layout(1, 4);
  layout.append(layout.next(std::vector<Index>{100}, Sharding::zigzag));
  EXPECT_EQ(layout.held(0, 0).size(), 2U);
  for (int step = 0; step < 40; ++step) layout.append(layout.next(std::vector<Index>{1}));
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_LE(layout.held(rank, 0).size(), 3U);
    EXPECT_NEAR(static_cast<double>(row_count(layout.held(rank, 0))), 35, 1);
  }
}

TEST(CacheLayout, RefusesWhatDoesNotGoOn) {
  EXPECT_THROW(CacheLayout(0, 1), InputError);
  EXPECT_THROW(CacheLayout(1, 0), InputError);
  CacheLayout layout(2, 2);
  EXPECT_THROW((void)layout.next(std::vector<Index>{1}), InputError);
  EXPECT_THROW((void)layout.next(std::vector<Index>{1, -1}), InputError);
  const auto chunk = layout.next(std::vector<Index>{3, 2});
  layout.append(chunk);
  EXPECT_THROW(layout.append(chunk), InputError);
  const auto append = [&](const annulus::Run& run) { layout.append({.shards = {{run}, {}}}); };
  EXPECT_THROW(append({.document = 2, .first = 0, .count = 1}), InputError);
  EXPECT_THROW(append({.document = 0, .first = 4, .count = 1}), InputError);
  EXPECT_THROW(append({.document = 0, .first = 3, .stride = 2, .count = 2}), InputError);
  EXPECT_THROW(append({.document = 0, .first = 3, .stride = 0, .count = 2}), InputError);
  EXPECT_THROW(append({.document = 0, .first = 3, .count = 0}), InputError);
  EXPECT_THROW(layout.append({.shards = {{}}}), InputError);
  append({.document = 0, .first = 3, .count = 1});
  EXPECT_EQ(layout.length(0), 4);
}

}  // namespace
}  // namespace annulus
