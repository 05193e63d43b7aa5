#include "annulus/plan/cost.hpp"
#include "annulus/plan/prediction.hpp"

#include <gtest/gtest.h>

namespace annulus {
namespace {

Problem causal_problem(Index n) {
  return {.query_heads = 8,
          .key_heads = 2,
          .head_dim = 64,
          .documents = Documents::single(n),
          .mask = Mask::causal()};
}

TEST(Cost, FlopsComeFromTheVisibleArea) {
  const Index n = 1001;
  const auto cost = cost_of(make_plan(causal_problem(n), {.ranks = 3}));
  EXPECT_EQ(cost.area, n * (n + 1) / 2);
  EXPECT_EQ(cost.flops, 4. * static_cast<double>(cost.area) * 64 * 8);
}

TEST(Cost, RingVolumeIsTheClosedForm) {
  // (P - 1) 2 s G d e bytes per rank for full attention.
  auto problem = causal_problem(64);
  problem.mask = Mask::full();
  for (const int ranks : {1, 2, 4, 8}) {
    const auto cost =
        cost_of(make_plan(problem, {.ranks = ranks},
                          {.sharding = Sharding::contiguous, .data_type = DataType::bfloat16}));
    for (const auto& rank : cost.ranks) {
      EXPECT_EQ(rank.bytes_sent, (ranks - 1) * 2 * (64 / ranks) * 2 * 64 * 2);
      EXPECT_EQ(rank.messages_sent, ranks - 1);
    }
  }
}

// A node of m ranks sends (nodes - 1) times what its ranks hold, a rank its own part of that; peers
// keep one packed copy of what is theirs.
TEST(Cost, WhatANodeSharesIsNotSent) {
  auto problem = causal_problem(64);
  problem.mask = Mask::full();
  const Index shard = 2 * (64 / 8) * 2 * 64 * 2;
  for (const int per_node : {2, 4, 8}) {
    const auto plan =
        make_plan(problem, even_topology(8, per_node),
                  {.sharding = Sharding::contiguous, .data_type = DataType::bfloat16});
    const int nodes = 8 / per_node;
    for (const auto& rank : cost_of(plan).ranks) {
      EXPECT_EQ(rank.bytes_sent, (nodes - 1) * shard);
      EXPECT_EQ(rank.memory.buffers, std::min(nodes, 3) * shard);
    }
    // Gradients, in fp32, go home from every node; what was received last is there already.
    for (const auto& rank : cost_of(plan, Pass::backward).ranks) {
      EXPECT_EQ(rank.bytes_sent, std::max(0, nodes - 2) * shard + (nodes - 1) * 2 * shard);
    }
  }
}

TEST(Cost, ZigzagBalancesCausalWorkAndContiguousDoesNot) {
  const int ranks = 8;
  const Index n = 1600;
  const auto plan = make_plan(causal_problem(n), {.ranks = ranks},
                              {.sharding = Sharding::zigzag, .schedule = Schedule::ring});
  EXPECT_NEAR(cost_of(plan).balance, 1, 1e-3);
  // Every (rank, step) has the same area to within one chunk length per chunk of queries.
  const double even = static_cast<double>(n) * static_cast<double>(n) / 2 / ranks / ranks;
  const double chunk = static_cast<double>(n) / (2 * ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    for (const auto& step : plan.program(rank).steps) {
      Index area = 0;
      for (const auto& block : plan.blocks(step.computes.at(0))) {
        area += visible_area(block);
      }
      EXPECT_NEAR(static_cast<double>(area), even, chunk);
    }
  }
  const auto contiguous =
      cost_of(make_plan(causal_problem(n), {.ranks = ranks},
                        {.sharding = Sharding::contiguous, .schedule = Schedule::ring}));
  EXPECT_NEAR(contiguous.balance, 0.5, 0.1);
}

TEST(Cost, AutoKeepsDocumentsOfManyLengthsWhole) {
  auto problem = causal_problem(0);
  std::vector<Index> offsets{0};
  for (Index i = 0; i < 200; ++i) offsets.push_back(offsets.back() + 40 + 97 * i % 1000);
  problem.documents = Documents::packed(offsets);
  const auto plan = make_plan(problem, {.ranks = 4});
  EXPECT_EQ(plan.sharding(), Sharding::balanced);
  const auto cost = cost_of(plan);
  const auto zigzag_plan = make_plan(problem, {.ranks = 4}, {.sharding = Sharding::zigzag});
  const auto zigzag = cost_of(zigzag_plan);
  EXPECT_GE(cost.balance, 0.97);
  EXPECT_LT(cost.bytes_sent, zigzag.bytes_sent);
  const auto seconds = [](const Plan& some) {
    return predict(some, {.ranks = 4}, Pass::forward, find_machine("zen4")).seconds;
  };
  EXPECT_LT(seconds(plan), 0.8 * seconds(zigzag_plan));
}

TEST(Cost, AutoSplitsNoShortDocument) {
  auto problem = causal_problem(0);
  problem.documents = Documents::batch(1000, 100, 100);
  const auto plan = make_plan(problem, {.ranks = 51});  // 19 or 20 documents each
  EXPECT_EQ(plan.sharding(), Sharding::balanced);
  EXPECT_EQ(plan.step_count(), 1U);
  EXPECT_EQ(cost_of(plan).bytes_sent, 0);
}

TEST(Cost, QueriesAndKeysMayBeShardedDifferently) {
  const auto plan = make_plan(causal_problem(1000), {.ranks = 4},
                              {.sharding = Sharding::zigzag, .key_sharding = Sharding::contiguous});
  EXPECT_EQ(plan.key_sharding(), Sharding::contiguous);
  const auto key_shards = make_shards(Sharding::contiguous, std::vector<Index>{0, 1000}, 4);
  const auto query_shards = make_shards(Sharding::zigzag, std::vector<Index>{0, 1000}, 4);
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(plan.key_shard(rank), key_shards[static_cast<std::size_t>(rank)]);
    EXPECT_EQ(plan.query_shard(rank), query_shards[static_cast<std::size_t>(rank)]);
  }
  EXPECT_EQ(cost_of(plan).area, 1000 * 1001 / 2);
}

TEST(Cost, AutoPrefersBalanceWhereTheMaskIsCausal) {
  EXPECT_EQ(make_plan(causal_problem(4096), {.ranks = 4}).sharding(), Sharding::zigzag);
  auto full = causal_problem(4096);
  full.mask = Mask::full();
  EXPECT_EQ(make_plan(full, {.ranks = 4}).sharding(), Sharding::contiguous);
  auto window = causal_problem(4096);
  window.mask = Mask::window(64);
  EXPECT_EQ(make_plan(window, {.ranks = 4}).sharding(), Sharding::contiguous);
}

TEST(Cost, MemoryPerRankFallsWithRanks) {
  const auto bytes = [](int ranks) {
    Index largest = 0;
    for (const auto& rank : cost_of(make_plan(causal_problem(4096), {.ranks = ranks})).ranks) {
      largest = std::max(largest, rank.memory.total());
    }
    return static_cast<double>(largest);
  };
  // Two exchange buffers come with the second rank, and after that all of it is O(n / P).
  EXPECT_NEAR(bytes(8) / bytes(4), 0.5, 0.01);
  EXPECT_NEAR(bytes(16) / bytes(4), 0.25, 0.01);
}

}  // namespace
}  // namespace annulus
