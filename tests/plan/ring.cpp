// What a ring sends and computes, by simulation.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/plan.hpp"
#include "plan/simulation.hpp"

namespace annulus {
namespace {

using test::simulate;

Plan plan_of(const Documents& documents, const Mask& mask, Sharding sharding,
             const Topology& topology) {
  return make_plan({.documents = documents, .mask = mask}, topology,
                   {.sharding = sharding, .schedule = fitting_schedule(topology)});
}

Plan plan_of(const Documents& documents, const Mask& mask, Sharding sharding, int ranks) {
  return plan_of(documents, mask, sharding, Topology{.ranks = ranks});
}

/// Nodes of one rank each, one node, and several nodes of several ranks, in blocks and in turns.
std::vector<Topology> topologies() {
  std::vector<Topology> all{even_topology(4, 2),
                            even_topology(9, 3),
                            even_topology(15, 5),
                            {.ranks = 6, .node_of = {0, 1, 2, 0, 1, 2}},
                            {.ranks = 8, .node_of = {3, 1, 1, 0, 0, 2, 3, 2}}};
  for (const int ranks : {1, 2, 3, 4, 5, 8, 13}) {
    all.push_back({.ranks = ranks});
    all.push_back(even_topology(ranks, ranks));
  }
  return all;
}

const std::vector<Documents> shapes{Documents::single(53),    Documents::single(3),
                                    Documents::single(0),     Documents::single(7, 40),
                                    Documents::single(40, 7), Documents::packed({0, 7, 7, 29, 53}),
                                    Documents::batch(5, 6, 6)};
const std::vector<Mask> masks{Mask::full(),       Mask::causal(),      Mask::window(5),
                              Mask::window(3, 9), Mask::window(0, 20), Mask::window(0)};

/// Calls visit(plan) for every sharding of queries over ranks of every topology, and for every
/// schedule that fits.
template <class Visit>
void for_each_plan(const Visit& visit) {
  for (const auto& documents : shapes) {
    for (const auto& mask : masks) {
      for (const auto sharding : all_shardings()) {
        for (const auto& topology : topologies()) {
          SCOPED_TRACE(mask.name() + " " + std::string(name_of(sharding)) +
                       " n=" + std::to_string(documents.queries()) +
                       " P=" + std::to_string(topology.ranks));
          const auto plan = plan_of(documents, mask, sharding, topology);
          visit(plan);
          if (plan.reads_in_place()) continue;
          SCOPED_TRACE("bidirectional");
          visit(plan.with_schedule(Schedule::bidirectional, topology));
        }
      }
    }
  }
}

/// 1 where a query sees a key, by packed rows.
std::vector<std::vector<int>> visible_pairs(const Problem& problem) {
  const auto& documents = problem.documents;
  std::vector<std::vector<int>> pairs(static_cast<std::size_t>(documents.queries()),
                                      std::vector<int>(static_cast<std::size_t>(documents.keys())));
  for (Index document = 0; document < documents.count(); ++document) {
    for (Index i = 0; i < documents.query_length(document); ++i) {
      const auto [begin, end] =
          problem.mask.visible(i + documents.alignment(document), documents.key_length(document));
      for (Index j = begin; j < end; ++j) {
        pairs[static_cast<std::size_t>(documents.query_offset(document) + i)]
             [static_cast<std::size_t>(documents.key_offset(document) + j)] = 1;
      }
    }
  }
  return pairs;
}

TEST(Ring, EveryVisiblePairIsComputedOnce) {
  for_each_plan([](const Plan& plan) {
    const auto pairs = visible_pairs(plan.problem());
    EXPECT_EQ(simulate(plan).pairs, pairs);
    EXPECT_EQ(simulate(plan, Pass::backward).pairs, pairs);
  });
}

TEST(Ring, EveryGradientComesHomeOnce) {
  for_each_plan([](const Plan& plan) {
    const auto& documents = plan.problem().documents;
    const auto simulation = simulate(plan, Pass::backward);
    const auto pairs = visible_pairs(plan.problem());
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      const auto queries = packed_rows(plan.query_shard(rank), documents.query_offsets());
      for (std::size_t row = 0; row < simulation.gradients.size(); ++row) {
        const bool sees = std::ranges::any_of(
            queries, [&](Index query) { return pairs[static_cast<std::size_t>(query)][row] == 1; });
        // Of one head.
        const int from_rank = simulation.gradients[row][static_cast<std::size_t>(rank)];
        EXPECT_LE(from_rank, 1);
        EXPECT_TRUE(from_rank == 1 || !sees) << "key " << row << ", rank " << rank;
      }
    }
  });
}

// Nobody holds back the last steps of the others.
TEST(Ring, SomebodyComputesInTheLastStep) {
  for_each_plan([](const Plan& plan) {
    // Plans say too much of ranks that have no rows.
    const auto& documents = plan.problem().documents;
    if (std::min(documents.queries(), documents.keys()) < 2 * plan.ranks()) return;
    // Of two halves, one may be done before the other.
    if (plan.schedule() == Schedule::bidirectional) return;
    bool computes = plan.step_count() == 1;
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      EXPECT_EQ(plan.program(rank).steps.size(), plan.step_count());
      computes = computes || !plan.program(rank).steps.back().computes.empty();
    }
    EXPECT_TRUE(computes) << "a step in which nobody computes";
  });
}

TEST(Ring, FullAttentionSendsEachShardToAllOthers) {
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    const auto plan = plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, ranks);
    EXPECT_EQ(plan.step_count(), static_cast<std::size_t>(ranks));
    EXPECT_EQ(simulate(plan).sends, ranks * (ranks - 1));
  }
}

// Half of every shard each way: as many rows, in steps of two messages.
TEST(Ring, BidirectionalSendsHalvesBothWays) {
  for (const int ranks : {3, 4, 5, 8}) {
    const auto plan = plan_of(Documents::single(60), Mask::full(), Sharding::contiguous, ranks)
                          .with_schedule(Schedule::bidirectional, {.ranks = ranks});
    const auto simulation = simulate(plan);
    EXPECT_EQ(plan.step_count(), static_cast<std::size_t>(ranks));
    EXPECT_EQ(simulation.sends, 2 * ranks * (ranks - 1));
    EXPECT_EQ(simulation.rows_sent, 60 * (ranks - 1));
    for (const auto& step : plan.program(1).steps) {
      if (step.sends.empty()) continue;
      EXPECT_EQ(step.sends.at(0).peer, 2 % ranks);
      EXPECT_EQ(step.sends.at(1).peer, 0);
    }
  }
  // Neighbours on both sides get what they see in one step, where a ring takes two.
  const auto window = plan_of(Documents::single(128), Mask::window(10, 10), Sharding::contiguous, 8)
                          .with_schedule(Schedule::bidirectional, {.ranks = 8});
  EXPECT_EQ(window.step_count(), 2U);
  EXPECT_EQ(simulate(window).rows_sent, 14 * 10);
}

TEST(Ring, RanksOfOneNodeSendNothing) {
  for (const auto* mask : {"full", "causal", "window:9,9"}) {
    const auto plan =
        plan_of(Documents::single(64), Mask::parse(mask), Sharding::zigzag, even_topology(8, 8));
    EXPECT_EQ(plan.schedule(), Schedule::node_ring);
    EXPECT_EQ(plan.step_count(), 1U);
    EXPECT_EQ(simulate(plan).sends, 0);
  }
}

// Every shard crosses to each other node once, whatever the ranks of a node.
TEST(Ring, NodesSendEachShardToAllOtherNodesOnce) {
  const auto plan =
      plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, even_topology(12, 3));
  EXPECT_EQ(plan.step_count(), 4U);
  EXPECT_EQ(simulate(plan).sends, 12 * 3);
}

// In every step all ranks of a node read from different ones, so that none waits for another.
TEST(Ring, PeersReadFromEachOtherInTurns) {
  const auto plan =
      plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, even_topology(6, 3));
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    for (std::size_t turn = 0; turn < 3; ++turn) {
      std::set<int> holders;
      for (int rank = 0; rank < 6; ++rank) {
        holders.insert(plan.program(rank).steps[step].computes.at(turn).holder);
      }
      EXPECT_EQ(holders.size(), 6U);
    }
    for (int rank = 0; rank < 6; ++rank) {
      EXPECT_EQ(plan.program(rank).steps[step].computes.front().holder, rank);
    }
  }
}

TEST(Ring, PeersAreTheRanksOfANode) {
  for (const auto& topology : topologies()) {
    for (const auto& ranks : ranks_of_nodes(topology)) {
      for (const int rank : ranks) {
        EXPECT_EQ(peers_of(topology, rank), ranks);
        EXPECT_EQ(ranks[static_cast<std::size_t>(place_on_node(topology, rank))], rank);
        for (int other = 0; other < topology.ranks; ++other) {
          EXPECT_EQ(same_node(topology, rank, other),
                    std::ranges::find(ranks, other) != ranks.end());
        }
      }
    }
  }
}

TEST(Ring, TheScheduleFitsTheNodes) {
  EXPECT_EQ(fitting_schedule({.ranks = 4}), Schedule::ring);
  EXPECT_EQ(fitting_schedule(even_topology(4, 1)), Schedule::ring);
  EXPECT_EQ(fitting_schedule(even_topology(4, 4)), Schedule::node_ring);
  EXPECT_EQ(fitting_schedule(even_topology(6, 2)), Schedule::node_ring);
  EXPECT_EQ(fitting_schedule(even_topology(5, 2)), Schedule::ring) << "nodes of 2, 2 and 1";
  const Problem problem{.documents = Documents::single(64)};
  EXPECT_THROW((void)make_plan(problem, even_topology(5, 2), {.schedule = Schedule::node_ring}),
               InputError);
  const auto ring = make_plan(problem, even_topology(6, 3), {.schedule = Schedule::ring});
  EXPECT_FALSE(ring.reads_in_place());
  EXPECT_EQ(ring.step_count(), 6U);
  EXPECT_THROW((void)make_plan(problem, {.ranks = 3, .node_of = {0, 1}}), InputError);
  EXPECT_THROW((void)make_plan(problem, {.ranks = 2, .node_of = {0, -1}}), InputError);
  EXPECT_EQ(parse_schedule("node-ring"), Schedule::node_ring);
  EXPECT_THROW((void)parse_schedule("rings"), InputError);
}

TEST(Ring, ContiguousCausalSendsOnlyToLaterRanks) {
  // Shard r is needed by the P - 1 - r ranks behind it, and goes no further.
  const auto plan = plan_of(Documents::single(64), Mask::causal(), Sharding::contiguous, 8);
  EXPECT_EQ(simulate(plan).sends, 7 * 8 / 2);
}

TEST(Ring, WindowStopsAfterTheHopsThatReachIt) {
  // ceil(window / s) hops, s = 16 rows a rank.
  for (const Index window : {1, 15, 16, 17, 33}) {
    const auto plan =
        plan_of(Documents::single(128), Mask::window(window), Sharding::contiguous, 8);
    EXPECT_EQ(plan.step_count(), 1 + static_cast<std::size_t>(ceil_div(window, 16))) << window;
  }
}

TEST(Ring, TwoSidedWindowGoesBothWays) {
  const auto plan = plan_of(Documents::single(128), Mask::window(10, 10), Sharding::contiguous, 8);
  EXPECT_EQ(plan.step_count(), 3U);  // own, the one behind, the one ahead
  EXPECT_EQ(simulate(plan).sends, 7 + 7);
}

TEST(Ring, DocumentsOfOneRankNeedNoHops) {
  const auto plan = plan_of(Documents::batch(8, 16, 16), Mask::full(), Sharding::contiguous, 8);
  EXPECT_EQ(plan.step_count(), 1U);
  EXPECT_EQ(simulate(plan).sends, 0);
}

TEST(Ring, EmptyShardsDoNotTravel) {
  // 3 rows on 8 ranks: shards of 5 ranks are empty.
  const auto plan = plan_of(Documents::single(3), Mask::full(), Sharding::contiguous, 8);
  for (int rank = 0; rank < 8; ++rank) {
    for (const auto& step : plan.program(rank).steps) {
      for (const auto& send : step.sends) EXPECT_GT(plan.key_rows(send.item.owner), 0);
    }
  }
}

// A window of 5 over shards of 16: the last 5 rows of each shard are all that the next rank sees.
TEST(Ring, RowsThatNobodySeesDoNotTravel) {
  const auto plan = plan_of(Documents::single(128), Mask::window(5), Sharding::contiguous, 8);
  const auto simulation = simulate(plan);
  EXPECT_EQ(simulation.sends, 7);
  EXPECT_EQ(simulation.rows_sent, 7 * 5);
  // With zigzag, those of both chunks, to the ranks on both sides.
  const auto zigzag = plan_of(Documents::single(128), Mask::window(5), Sharding::zigzag, 8);
  EXPECT_EQ(simulate(zigzag).rows_sent, 14 * 5);
}

// Of two chunks that are far apart, their ends travel, not what lies between them: keys of rank 1
// are seen by rank 0 where chunk 14 begins and by rank 2 behind chunk 1.
TEST(Ring, RowsBetweenThoseThatAreSeenDoNotTravel) {
  auto plan = plan_of(Documents::single(128), Mask::window(3, 3), Sharding::zigzag, 8);
  for (int rank = 0; rank < 8; ++rank) {
    for (const auto& step : plan.program(rank).steps) {
      for (const auto& send : step.sends) EXPECT_LE(send.item.rows.count(), 6);
    }
  }
}

// A window of 36 over shards of 16 reaches three ranks; what the last of them does not see goes no
// further than to the second, once that is half of what goes.
TEST(Ring, RowsBecomeFewerOnTheirWay) {
  const auto plan = plan_of(Documents::single(128), Mask::window(36), Sharding::contiguous, 8);
  const auto simulation = simulate(plan);
  EXPECT_EQ(plan.step_count(), 4U);
  EXPECT_EQ(simulation.rows_sent, 7 * 16 + 6 * 16 + 5 * 4);
  // Who sends on a part keeps the whole, so that a backward pass need not ask for it.
  const auto program = plan.program(3);
  EXPECT_EQ(program.kept.size(), 2U);
  EXPECT_EQ(program.kept.front().rows.count(), 16);
  EXPECT_EQ(program.kept.back().rows.count(), 4);
}

// Ranks 0, 2, 4 and 6 of 8 have rows, one and then two each. A row goes six hops, past ranks
// without queries in between and to none behind the last; of the one row there is no second half.
TEST(Ring, SingleRowsStopWhereNobodyIsLeftToSeeThem) {
  const auto plan = plan_of(Documents::single(7), Mask::full(), Sharding::zigzag, 8)
                        .with_schedule(Schedule::bidirectional, {.ranks = 8});
  EXPECT_EQ(simulate(plan).rows_sent, (4 + 3) * 6);
}

TEST(Ring, FewerThanOneRankIsRefused) {
  EXPECT_THROW((void)make_plan({.documents = Documents::single(3)}, {.ranks = 0}), InputError);
  EXPECT_THROW((void)make_plan({.query_heads = 3, .key_heads = 2}, {.ranks = 1}), InputError);
}

}  // namespace
}  // namespace annulus
