// Blocks of shards as few joined ones.
#include "kernels/cpu/joined_block.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "annulus/plan/sharding.hpp"
#include "kernels/visible_pairs.hpp"

namespace annulus::kernels {

namespace {

const std::vector<Mask> masks{Mask::full(),    Mask::causal(),      Mask::window(0),
                              Mask::window(3), Mask::window(2, 5),  Mask::window(0, 4),
                              Mask::window(5), Mask::window(40, 3), Mask::window(17, 1)};

using test::Pairs;

/// Key rows of queries themselves.
std::map<Index, Index> self_keys_of(const std::vector<Block>& blocks) {
  std::map<Index, Index> self;
  for (const auto& block : blocks) {
    for (Index i = 0; i < block.queries.count; ++i) {
      const Index key = block.self_key(i);
      if (key >= 0) self[block.queries.row + i] = block.keys.row + key;
    }
  }
  return self;
}

/// What is joined has the pairs of the blocks, once each, in the form that kernels rely on.
std::vector<JoinedBlock> expect_joined(const std::vector<Block>& blocks) {
  auto joined = join(blocks);
  Pairs pairs;
  std::map<Index, Index> self;
  for (std::size_t at = 0; at < joined.size(); ++at) {
    const auto& block = joined[at];
    if (at > 0) {
      EXPECT_GE(block.keys.begin, joined[at - 1].keys.begin);
    }
    EXPECT_EQ(std::ssize(block.visible), block.queries.size());
    EXPECT_EQ(std::ssize(block.self_key), block.queries.size());
    for (Index row = block.queries.begin; row < block.queries.end; ++row) {
      const auto seen = block.seen_by(row);
      EXPECT_LE(block.keys.begin, seen.begin);
      EXPECT_LE(seen.begin, seen.end);
      EXPECT_LE(seen.end, block.keys.end);
      if (row > block.queries.begin) {
        EXPECT_GE(seen.begin, block.seen_by(row - 1).begin);
        EXPECT_GE(seen.end, block.seen_by(row - 1).end);
      }
      for (Index key = seen.begin; key < seen.end; ++key) ++pairs[{row, key}];
      if (block.self_key_of(row) >= 0) {
        EXPECT_TRUE(self.try_emplace(row, block.self_key_of(row)).second);
      }
    }
    const Interval some{block.keys.begin + 1, block.keys.begin + 4};
    const auto queries = block.queries_that_see(some);
    for (Index row = block.queries.begin; row < block.queries.end; ++row) {
      const auto seen = block.seen_by(row);
      const Interval both{std::max(seen.begin, some.begin), std::min(seen.end, some.end)};
      if (!both.empty()) {
        EXPECT_TRUE(queries.contains(row));
      }
    }
  }
  EXPECT_EQ(pairs, test::visible_pairs(blocks));
  EXPECT_EQ(self, self_keys_of(blocks));
  return joined;
}

TEST(JoinedBlock, HoldsThePairsOfAnyShards) {
  const std::vector<Documents> all_documents{Documents::single(61),
                                             Documents::single(5, 19),
                                             Documents::single(19, 5),
                                             Documents::packed({0, 7, 7, 20, 31, 90}),
                                             Documents::batch(3, 4, 9),
                                             Documents::packed({0, 2, 9}, {0, 11, 13}),
                                             Documents::packed({0, 0, 4, 6}, {0, 3, 3, 8})};
  for (const auto& documents : all_documents) {
    for (const auto& mask : masks) {
      for (const auto sharding : all_shardings()) {
        for (const auto key_sharding : {sharding, Sharding::contiguous}) {
          for (const int ranks : {1, 2, 3, 5}) {
            SCOPED_TRACE(mask.name());
            const Problem problem{.documents = documents, .mask = mask};
            const auto key_shards = make_shards(key_sharding, documents.key_offsets(), ranks);
            for (const auto& queries : make_shards(sharding, documents.query_offsets(), ranks)) {
              for (const auto& keys : key_shards) {
                expect_joined(visible_blocks(problem, queries, keys));
              }
            }
          }
        }
      }
    }
  }
}

// Runs in no order, as where rows of several ranks are side by side.
TEST(JoinedBlock, HoldsThePairsOfRunsInAnyOrder) {
  std::mt19937_64 random(5);
  const auto pick = [&](Index from, Index to) {
    return std::uniform_int_distribution<Index>(from, to)(random);
  };
  const auto runs = [&] {
    std::vector<PlacedRows> all;
    Index row = 0;
    for (Index left = pick(1, 4); left > 0; --left) {
      all.push_back(
          {.row = row, .position = pick(0, 50), .stride = pick(1, 3), .count = pick(1, 40)});
      row += all.back().count + (pick(0, 5) == 0 ? 1 : 0);
    }
    return all;
  };
  for (int trial = 0; trial < 2000; ++trial) {
    const auto& mask = masks[static_cast<std::size_t>(pick(0, std::ssize(masks) - 1))];
    SCOPED_TRACE(mask.name());
    std::vector<Block> blocks;
    std::set<Index> have_self;  // a query has one key of its own
    const auto keys = runs();
    for (const auto& queries : runs()) {
      for (const auto& of : keys) {
        const Block block{.queries = queries, .keys = of, .mask = mask};
        if (pick(0, 3) == 0) continue;
        bool again = false;
        for (Index i = 0; i < queries.count; ++i) {
          again = again || (block.self_key(i) >= 0 && have_self.contains(queries.row + i));
        }
        if (again) continue;
        for (Index i = 0; i < queries.count; ++i) {
          if (block.self_key(i) >= 0) have_self.insert(queries.row + i);
        }
        blocks.push_back(block);
      }
    }
    std::ranges::shuffle(blocks, random);
    expect_joined(blocks);
  }
}

std::vector<JoinedBlock> joined(const Documents& documents, Sharding sharding, int ranks,
                                const Mask& mask, std::size_t of_queries, std::size_t of_keys) {
  const auto shards = make_shards(sharding, documents.query_offsets(), ranks);
  return expect_joined(
      visible_blocks({.documents = documents, .mask = mask}, shards[of_queries], shards[of_keys]));
}

TEST(JoinedBlock, IsOneForShardsOfOneDocument) {
  const auto document = Documents::single(240);
  for (const auto sharding : all_shardings()) {
    const auto own = joined(document, sharding, 3, Mask::causal(), 0, 0);
    ASSERT_EQ(own.size(), 1U) << name_of(sharding);
    EXPECT_EQ(own[0].queries, (Interval{0, 80}));
    EXPECT_EQ(own[0].keys, (Interval{0, 80}));
  }
  // The second half of the queries sees all keys of the rank after, the first half none.
  const auto other = joined(document, Sharding::zigzag, 3, Mask::causal(), 0, 1);
  ASSERT_EQ(other.size(), 1U);
  EXPECT_EQ(other[0].queries, (Interval{40, 80}));
  EXPECT_EQ(other[0].keys, (Interval{0, 80}));
  EXPECT_EQ(other[0].seen_by(40), (Interval{0, 80}));
}

// Runs that begin and end where others do not.
TEST(JoinedBlock, IsOneWhereQueriesSeeSomeRunsOnly) {
  const Problem problem{.documents = Documents::single(240), .mask = Mask::window(90)};
  const auto keys = make_shards(Sharding::zigzag, problem.documents.key_offsets(), 2);
  const Shard all{{.count = 240}};
  EXPECT_EQ(expect_joined(visible_blocks(problem, all, keys[0])).size(), 1U);
  const Shard halves{{.count = 110}, {.first = 110, .count = 130}};
  EXPECT_EQ(expect_joined(visible_blocks(problem, all, halves)).size(), 1U);
  EXPECT_EQ(expect_joined(visible_blocks(problem, halves, halves)).size(), 1U);
}

TEST(JoinedBlock, BlocksWithoutKeysInCommonStayApartUnlessTheyAreShort) {
  EXPECT_EQ(
      joined(Documents::batch(10, 24, 24), Sharding::contiguous, 1, Mask::full(), 0, 0).size(), 1U);
  EXPECT_EQ(
      joined(Documents::batch(10, 25, 25), Sharding::contiguous, 1, Mask::full(), 0, 0).size(),
      10U);
  EXPECT_EQ(joined(Documents::single(400), Sharding::zigzag, 2, Mask::window(10), 0, 0).size(), 2U);
}

}  // namespace
}  // namespace annulus::kernels
