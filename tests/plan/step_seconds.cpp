// What a kernel is taken to compute of a block.
#include "plan/step_seconds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace annulus::test {
namespace {

Index rows_that_cost(const Block& block, double KernelCost::*term) {
  KernelCost cost;
  cost.*term = 1;
  return static_cast<Index>(accumulate_seconds(cost, std::array{block}, 1, 1));
}

TEST(AccumulateSeconds, CountsRowsThatHaveAPart) {
  std::mt19937 random(1);
  const auto number = [&](int least, int most) {
    return std::uniform_int_distribution(least, most)(random);
  };
  for (int trial = 0; trial < 2000; ++trial) {
    const bool dense = trial % 2 == 0;
    const auto rows = [&] {
      return PlacedRows{
          .position = number(0, 40), .stride = dense ? 1 : number(1, 4), .count = number(1, 30)};
    };
    const Block block{
        .queries = rows(),
        .keys = rows(),
        .mask = number(0, 3) == 0 ? Mask::causal() : Mask::window(number(0, 9), number(0, 9))};
    std::vector<bool> seen(static_cast<std::size_t>(block.keys.count), false);
    Index queries = 0;
    for (Index i = 0; i < block.queries.count; ++i) {
      const auto visible = block.visible(i);
      if (!visible.empty()) ++queries;
      for (Index key = visible.begin; key < visible.end; ++key) {
        seen[static_cast<std::size_t>(key)] = true;
      }
    }
    const Index keys = std::ranges::count(seen, true);
    const Index query_cost = rows_that_cost(block, &KernelCost::per_query);
    const Index key_cost = rows_that_cost(block, &KernelCost::per_key);
    if (dense) {
      EXPECT_EQ(query_cost, queries) << trial;
      EXPECT_EQ(key_cost, keys) << trial;
    }
    EXPECT_GE(query_cost, queries) << trial;
    EXPECT_GE(key_cost, keys) << trial;
    EXPECT_LE(query_cost, block.queries.count) << trial;
    EXPECT_LE(key_cost, block.keys.count) << trial;
    const Index pairs = rows_that_cost(block, &KernelCost::per_pair);
    EXPECT_GE(pairs, visible_area(block)) << trial;
  }
}

TEST(CoresOfRank, AreThoseOfTheNode) {
  Machine machine;
  EXPECT_EQ(cores_of_rank(machine, 6, 4), 6);  // any number
  machine.cores = 8;
  EXPECT_EQ(cores_of_rank(machine, 1, 4), 1);
  EXPECT_EQ(cores_of_rank(machine, 6, 4), 2);
  EXPECT_EQ(cores_of_rank(machine, 1, 16), 0.5);
  machine.memory = PeerMemory::separate;
  EXPECT_EQ(cores_of_rank(machine, 6, 1), 1);
  EXPECT_EQ(cores_of_rank(machine, 1, 16), 0.5);
}

TEST(AccumulateSeconds, QueriesThatSeeNothingCostNothing) {
  const KernelCost cost{.per_pair = 1, .per_query = 1, .per_key = 1};
  Block block{.queries = {.position = 512, .count = 600},
              .keys = {.position = 0, .count = 512},
              .mask = Mask::window(512, 0)};
  const double those_that_see = accumulate_seconds(cost, std::array{block}, 4, 2);
  block.queries.count = 4096;
  EXPECT_EQ(accumulate_seconds(cost, std::array{block}, 4, 2), those_that_see);
}

}  // namespace
}  // namespace annulus::test
