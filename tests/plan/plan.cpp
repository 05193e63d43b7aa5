// What a plan answers.
#include "annulus/plan/plan.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

Problem window_problem(Index n) {
  return {.query_heads = 4,
          .key_heads = 2,
          .head_dim = 5,
          .value_dim = 3,
          .documents = Documents::single(n),
          .mask = Mask::window(5)};
}

TEST(Plan, SaysWhatAllRanksAgreeOn) {
  const auto plan = make_plan(window_problem(53), even_topology(6, 2),
                              {.sharding = Sharding::zigzag,
                               .key_sharding = Sharding::striped,
                               .data_type = DataType::bfloat16});
  EXPECT_EQ(plan.ranks(), 6);
  EXPECT_EQ(plan.sharding(), Sharding::zigzag);
  EXPECT_EQ(plan.key_sharding(), Sharding::striped);
  EXPECT_EQ(plan.schedule(), Schedule::node_ring);
  EXPECT_EQ(plan.data_type(), DataType::bfloat16);
  EXPECT_EQ(plan.problem().documents.keys(), 53);
  EXPECT_EQ(plan.node_count(), 3);
  EXPECT_TRUE(plan.reads_in_place());
}

TEST(Plan, SaysWhatARankHolds) {
  const std::vector<Index> offsets{0, 53};
  const auto shards = make_shards(Sharding::striped, offsets, 4);
  const auto plan = make_plan(window_problem(53), {.ranks = 4},
                              {.sharding = Sharding::striped, .data_type = DataType::bfloat16});
  Index rows = 0;
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(plan.query_shard(rank), shards[static_cast<std::size_t>(rank)]);
    EXPECT_EQ(plan.key_shard(rank), shards[static_cast<std::size_t>(rank)]);
    EXPECT_EQ(plan.query_rows(rank), row_count(plan.query_shard(rank)));
    EXPECT_EQ(plan.key_rows(rank), row_count(plan.key_shard(rank)));
    auto item = plan.keys_of(rank);
    EXPECT_EQ(item.rows.count(), plan.key_rows(rank));
    EXPECT_EQ(plan.bytes(item), plan.key_rows(rank) * 2 * (5 + 3) * 2);
    item.what = What::key_gradients;
    EXPECT_EQ(plan.bytes(item), plan.key_rows(rank) * 2 * (5 + 3) * 4);
    rows += plan.key_rows(rank);
  }
  EXPECT_EQ(rows, 53);
}

TEST(Plan, PeersAreTheRanksOfANode) {
  const Topology topology{.ranks = 6, .node_of = {2, 0, 2, 1, 0, 1}};
  const auto plan = make_plan(window_problem(53), topology, {.schedule = Schedule::node_ring});
  for (int rank = 0; rank < 6; ++rank) EXPECT_EQ(plan.peers(rank), peers_of(topology, rank));
  const auto ring = make_plan(window_problem(53), topology, {.schedule = Schedule::ring});
  EXPECT_EQ(ring.node_count(), 6);
  EXPECT_FALSE(ring.reads_in_place());
  for (int rank = 0; rank < 6; ++rank) EXPECT_EQ(ring.peers(rank), std::vector<int>{rank});
}

TEST(Plan, NodesOfUnlikeSizesMakeNoNodeRing) {
  const Topology topology{.ranks = 5, .node_of = {0, 1, 0, 1, 0}};
  const auto node = node_sizes(topology);
  EXPECT_EQ(node.fewest, 2);
  EXPECT_EQ(node.most, 3);
  EXPECT_FALSE(node.even());
  EXPECT_EQ(fitting_schedule(topology, PeerMemory::shared), Schedule::ring);
  try {
    static_cast<void>(make_plan(window_problem(53), topology, {.schedule = Schedule::node_ring}));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "schedule node-ring: a node has 3 ranks and another one 2; expected as many on "
                 "every node, or schedule ring");
  }
  EXPECT_TRUE(node_sizes(even_topology(6, 3)).even());
  EXPECT_EQ(fitting_schedule(even_topology(6, 3), PeerMemory::shared), Schedule::node_ring);
  EXPECT_EQ(node_sizes({.ranks = 4}).most, 1);
}

TEST(Plan, MemoryOfANodeHasRoomForTheLargest) {
  const auto plan = make_plan(window_problem(53), even_topology(6, 3));
  Index rows = 0;
  Index received = 0;
  for (int rank = 0; rank < 6; ++rank) {
    rows = std::max(rows, plan.key_rows(rank));
    for (const auto& step : plan.program(rank).steps) {
      for (const auto& receive : step.receives) {
        received = std::max(received, receive.item.rows.count());
      }
    }
  }
  EXPECT_EQ(plan.largest_key_rows(), rows);
  EXPECT_EQ(plan.largest_received_rows(), received);
  EXPECT_LT(received, rows) << "of a window only the ends of shards travel";
}

// Contiguous rows of a window that reaches one rank back: rank r has the shard of r - 1 in step 1,
// and what it sends is its own. In a full ring, from step 1 on, another shard takes the place of
// the one that is sent on.
TEST(Plan, ShardsOfOthersThatAreReplacedReturn) {
  const auto window =
      make_plan(window_problem(32), {.ranks = 4}, {.sharding = Sharding::contiguous});
  auto problem = window_problem(32);
  problem.mask = Mask::full();
  const auto full = make_plan(problem, {.ranks = 4}, {.sharding = Sharding::contiguous});
  EXPECT_EQ(window.step_count(), 2U);
  EXPECT_EQ(full.step_count(), 4U);
  for (int rank = 0; rank < 4; ++rank) {
    const auto program_of_window = window.program(rank);
    const auto& last = program_of_window.steps.front();
    for (const auto& send : last.sends) EXPECT_FALSE(send.returns);
    for (const auto& receive : last.receives) EXPECT_FALSE(receive.returns);
    const auto program = full.program(rank);
    for (std::size_t step = 0; step < program.steps.size(); ++step) {
      const bool goes_on = step == 1 || step == 2;
      for (const auto& send : program.steps[step].sends) EXPECT_EQ(send.returns, goes_on) << step;
      for (const auto& receive : program.steps[step].receives) {
        EXPECT_EQ(receive.returns, goes_on) << step;
      }
    }
    ASSERT_EQ(program.kept.size(), 1U);
    EXPECT_EQ(program.kept.front().owner, (rank + 1) % 4) << "the one that came last";
  }
}

// Shard 0 stops on rank 1 of a causal mask over contiguous rows: where nothing comes after it, a
// rank still has at the end what it has sent on.
TEST(Plan, AShardThatNothingReplacesDoesNotReturn) {
  auto problem = window_problem(32);
  problem.mask = Mask::causal();
  const auto plan = make_plan(problem, {.ranks = 4}, {.sharding = Sharding::contiguous});
  const auto program = plan.program(1);
  const auto& step = program.steps[1];
  ASSERT_EQ(step.sends.size(), 1U);
  EXPECT_EQ(step.sends.front().item.owner, 0);
  EXPECT_EQ(step.sends.front().peer, 2);
  EXPECT_TRUE(step.receives.empty());
  EXPECT_FALSE(step.sends.front().returns);
  const auto program_of_2 = plan.program(2);
  const auto& next = program_of_2.steps[1];
  EXPECT_FALSE(next.receives.at(0).returns);
  EXPECT_TRUE(next.sends.at(0).returns) << "of rank 1, replaced by that of rank 0";
  EXPECT_TRUE(plan.program(3).steps[1].receives.at(0).returns);
}

TEST(Plan, AnotherScheduleKeepsTheShards) {
  const auto ring = make_plan(window_problem(53), even_topology(6, 3),
                              {.sharding = Sharding::zigzag, .schedule = Schedule::ring});
  const auto nodes = ring.with_schedule(Schedule::node_ring, even_topology(6, 3));
  const auto made =
      make_plan(window_problem(53), even_topology(6, 3), {.sharding = Sharding::zigzag});
  EXPECT_FALSE(ring.reads_in_place());
  EXPECT_TRUE(nodes.reads_in_place());
  EXPECT_EQ(nodes.schedule(), Schedule::node_ring);
  EXPECT_EQ(nodes.step_count(), made.step_count());
  for (int rank = 0; rank < 6; ++rank) {
    EXPECT_EQ(nodes.query_shard(rank), ring.query_shard(rank));
    EXPECT_EQ(nodes.peers(rank), made.peers(rank));
  }
  EXPECT_THROW((void)ring.with_schedule(Schedule::ring, even_topology(4, 2)), InputError);
  EXPECT_THROW((void)ring.with_schedule(Schedule::node_ring, even_topology(6, 4)), InputError);
}

// Copies are of a pointer.
TEST(Plan, CopiesShareWhatTheyAnswerFrom) {
  const auto plan = make_plan(window_problem(53), {.ranks = 3});
  const auto copy = plan;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(&copy.problem(), &plan.problem());
  EXPECT_EQ(sizeof(Plan), sizeof(std::shared_ptr<const int>));
}

TEST(Plan, RanksWithSeparateMemoryMakeARing) {
  EXPECT_EQ(fitting_schedule(even_topology(4, 4), PeerMemory::separate), Schedule::ring);
  const auto plan =
      make_plan(window_problem(53), even_topology(4, 4), {.peer_memory = PeerMemory::separate});
  EXPECT_EQ(plan.schedule(), Schedule::ring);
  EXPECT_FALSE(plan.reads_in_place());
}

}  // namespace
}  // namespace annulus
