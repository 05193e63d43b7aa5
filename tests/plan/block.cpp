#include "annulus/plan/block.hpp"

#include <random>

#include <gtest/gtest.h>

#include "annulus/plan/sharding.hpp"

namespace annulus {
namespace {

const std::vector<Mask> masks{Mask::full(),       Mask::causal(),     Mask::window(0),
                              Mask::window(3),    Mask::window(2, 5), Mask::window(0, 4),
                              Mask::window(17, 1)};

bool sees(const Mask& mask, Index query, Index key) {
  return -mask.left() <= key - query && key - query <= mask.right();
}

Block random_block(std::mt19937_64& random, const Mask& mask) {
  const auto pick = [&](Index from, Index to) {
    return std::uniform_int_distribution<Index>(from, to)(random);
  };
  return {.queries = {.position = pick(-20, 60), .stride = pick(1, 7), .count = pick(0, 23)},
          .keys = {.position = pick(0, 60), .stride = pick(1, 7), .count = pick(0, 23)},
          .mask = mask};
}

TEST(Block, VisibleIntervalsAreTheMaskPairByPair) {
  std::mt19937_64 random(3);
  for (const auto& mask : masks) {
    for (int trial = 0; trial < 300; ++trial) {
      const auto block = random_block(random, mask);
      Index area = 0;
      Interval before{0, 0};
      for (Index i = 0; i < block.queries.count; ++i) {
        const auto visible = block.visible(i);
        for (Index j = 0; j < block.keys.count; ++j) {
          const bool expected = sees(mask, block.queries.position_of(i), block.keys.position_of(j));
          ASSERT_EQ(visible.contains(j), expected) << mask.name();
          area += expected ? 1 : 0;
        }
        // Kernels rely on ends that never fall.
        if (i > 0) {
          EXPECT_GE(visible.begin, before.begin);
          EXPECT_GE(visible.end, before.end);
        }
        before = visible;
      }
      EXPECT_EQ(visible_area(block), area) << mask.name();
    }
  }
}

TEST(Block, SelfKeyIsTheKeyAtTheQuerysPosition) {
  std::mt19937_64 random(4);
  for (int trial = 0; trial < 1000; ++trial) {
    const auto block = random_block(random, Mask::full());
    for (Index i = 0; i < block.queries.count; ++i) {
      Index expected = -1;
      for (Index j = 0; j < block.keys.count; ++j) {
        if (block.keys.position_of(j) == block.queries.position_of(i)) expected = j;
      }
      EXPECT_EQ(block.self_key(i), expected);
    }
  }
}

TEST(Block, AreasOfLongSequencesAreExact) {
  // 2^21 queries and keys, striped over 7 ranks: the areas of all pairs of ranks add up.
  const Index n = (Index{1} << 21) + 3;
  const Problem problem{.documents = Documents::single(n), .mask = Mask::causal()};
  const auto shards = make_shards(Sharding::striped, problem.documents.query_offsets(), 7);
  Index area = 0;
  for (const auto& queries : shards) {
    for (const auto& keys : shards) {
      for (const auto& block : visible_blocks(problem, queries, keys)) area += visible_area(block);
    }
  }
  EXPECT_EQ(area, n * (n + 1) / 2);
}

TEST(Block, EveryVisiblePairIsInExactlyOneBlock) {
  const std::vector<Documents> all_documents{Documents::single(31),
                                             Documents::single(5, 19),
                                             Documents::single(19, 5),
                                             Documents::packed({0, 7, 7, 20, 31}),
                                             Documents::batch(3, 4, 9),
                                             Documents::packed({0, 2, 9}, {0, 11, 13}),
                                             Documents::packed({0, 0, 4, 6}, {0, 3, 3, 8})};
  for (const auto& documents : all_documents) {
    for (const auto& mask : masks) {
      for (const auto sharding : all_shardings()) {
        for (const int ranks : {1, 2, 3, 5, 8}) {
          const Problem problem{.documents = documents, .mask = mask};
          const auto query_shards = make_shards(sharding, documents.query_offsets(), ranks);
          const auto key_shards = make_shards(sharding, documents.key_offsets(), ranks);
          std::vector<int> count(static_cast<std::size_t>(documents.queries() * documents.keys()));
          for (const auto& queries : query_shards) {
            const auto query_rows = packed_rows(queries, documents.query_offsets());
            for (const auto& keys : key_shards) {
              const auto key_rows = packed_rows(keys, documents.key_offsets());
              for (const auto& block : visible_blocks(problem, queries, keys)) {
                for (Index i = 0; i < block.queries.count; ++i) {
                  const auto visible = block.visible(i);
                  for (Index j = visible.begin; j < visible.end; ++j) {
                    const Index query = query_rows[static_cast<std::size_t>(block.queries.row + i)];
                    const Index key = key_rows[static_cast<std::size_t>(block.keys.row + j)];
                    ++count[static_cast<std::size_t>(query * documents.keys() + key)];
                  }
                }
              }
            }
          }
          for (Index document = 0; document < documents.count(); ++document) {
            for (Index i = 0; i < documents.query_length(document); ++i) {
              for (Index j = 0; j < documents.key_length(document); ++j) {
                auto& seen = count[static_cast<std::size_t>((documents.query_offset(document) + i) *
                                                                documents.keys() +
                                                            documents.key_offset(document) + j)];
                EXPECT_EQ(seen, sees(mask, i + documents.alignment(document), j) ? 1 : 0);
                seen = 0;
              }
            }
          }
          for (const int seen : count) EXPECT_EQ(seen, 0) << "a pair across documents";
        }
      }
    }
  }
}

}  // namespace
}  // namespace annulus
