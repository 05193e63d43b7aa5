// The plan is simulated: what a rank sends it must hold, what it computes with it must hold, every
// rank computes with every shard that it needs exactly once, and nothing moves in vain.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {
namespace {

struct Simulation {
  int hops = 0;
  std::set<std::pair<int, int>> computed;  // rank, owner
};

/// Executes the steps on sets of names. A rank holds its own shard always, and in a step what it
/// received in the step before.
Simulation simulate(const Plan& plan) {
  Simulation simulation;
  std::vector<int> held(static_cast<std::size_t>(plan.ranks()), -1);
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    const auto step_of = [&](int rank) { return plan.program(rank).at(step); };
    std::vector<int> next(held.size(), -1);
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      const auto at = static_cast<std::size_t>(rank);
      const auto mine = step_of(rank);
      const auto holds = [&](int owner) { return owner == rank || owner == held[at]; };
      const auto& peers = plan.peers(rank);
      for (const auto& [owner, holder] : mine.reads) {
        EXPECT_TRUE(std::ranges::find(peers, holder) != peers.end());
        EXPECT_TRUE(owner == holder || owner == held[static_cast<std::size_t>(holder)]);
        EXPECT_TRUE(simulation.computed.insert({rank, owner}).second);
      }
      if (mine.hop.to >= 0) {
        EXPECT_TRUE(holds(mine.hop.send_owner));
        EXPECT_TRUE(std::ranges::find(peers, mine.hop.to) == peers.end())
            << "what a peer needs is not sent";
        const auto peer = step_of(mine.hop.to).hop;
        EXPECT_EQ(peer.from, rank);
        EXPECT_EQ(peer.receive_owner, mine.hop.send_owner);
        EXPECT_EQ(peer.receive_returns, mine.hop.send_returns);
        ++simulation.hops;
      }
      if (mine.hop.from >= 0) {
        EXPECT_EQ(step_of(mine.hop.from).hop.to, rank);
        next[at] = mine.hop.receive_owner;
      }
    }
    held = next;
  }
  return simulation;
}

Plan plan_of(const Documents& documents, const Mask& mask, Sharding sharding,
             const Topology& topology) {
  return make_plan({.documents = documents, .mask = mask}, topology, {.sharding = sharding});
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

TEST(Ring, EveryNeededPairOfRanksIsComputedOnce) {
  for (const auto& documents : {Documents::single(53), Documents::single(3), Documents::single(0),
                                Documents::single(7, 40), Documents::single(40, 7),
                                Documents::packed({0, 7, 7, 29, 53}), Documents::batch(5, 6, 6)}) {
    for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(5), Mask::window(3, 9),
                             Mask::window(0, 20), Mask::window(0)}) {
      for (const auto sharding : all_shardings()) {
        for (const auto& topology : topologies()) {
          const int ranks = topology.ranks;
          const auto plan = plan_of(documents, mask, sharding, topology);
          const auto simulation = simulate(plan);
          for (int rank = 0; rank < ranks; ++rank) {
            for (int owner = 0; owner < ranks; ++owner) {
              EXPECT_EQ(simulation.computed.contains({rank, owner}),
                        !plan.blocks(rank, owner).empty())
                  << mask.name() << ' ' << name_of(sharding) << " P=" << ranks;
            }
          }
          bool computes = plan.step_count() == 1;
          for (int rank = 0; rank < ranks; ++rank) {
            EXPECT_EQ(plan.program(rank).size(), plan.step_count());
            computes = computes || !plan.program(rank).back().reads.empty();
          }
          EXPECT_TRUE(computes) << "a step in which nobody computes";
        }
      }
    }
  }
}

TEST(Ring, FullAttentionSendsEachShardToAllOthers) {
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    const auto plan = plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, ranks);
    EXPECT_EQ(plan.step_count(), static_cast<std::size_t>(ranks));
    EXPECT_EQ(simulate(plan).hops, ranks * (ranks - 1));
  }
}

TEST(Ring, RanksOfOneNodeSendNothing) {
  for (const auto* mask : {"full", "causal", "window:9,9"}) {
    const auto plan =
        plan_of(Documents::single(64), Mask::parse(mask), Sharding::zigzag, even_topology(8, 8));
    EXPECT_EQ(plan.schedule(), Schedule::node_ring);
    EXPECT_EQ(plan.step_count(), 1U);
    EXPECT_EQ(simulate(plan).hops, 0);
  }
}

// Every shard crosses to each other node once, whatever the ranks of a node.
TEST(Ring, NodesSendEachShardToAllOtherNodesOnce) {
  const auto plan =
      plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, even_topology(12, 3));
  EXPECT_EQ(plan.step_count(), 4U);
  EXPECT_EQ(simulate(plan).hops, 12 * 3);
}

// In every step all ranks of a node read from different ones, so that none waits for another.
TEST(Ring, PeersReadFromEachOtherInTurns) {
  const auto plan =
      plan_of(Documents::single(64), Mask::full(), Sharding::contiguous, even_topology(6, 3));
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    for (std::size_t turn = 0; turn < 3; ++turn) {
      std::set<int> holders;
      for (int rank = 0; rank < 6; ++rank) {
        holders.insert(plan.program(rank)[step].reads.at(turn).holder);
      }
      EXPECT_EQ(holders.size(), 6U);
    }
    for (int rank = 0; rank < 6; ++rank) {
      EXPECT_EQ(plan.program(rank)[step].reads.front().holder, rank);
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
  EXPECT_EQ(simulate(plan).hops, 7 * 8 / 2);
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
  EXPECT_EQ(simulate(plan).hops, 7 + 7);
}

TEST(Ring, DocumentsOfOneRankNeedNoHops) {
  const auto plan = plan_of(Documents::batch(8, 16, 16), Mask::full(), Sharding::contiguous, 8);
  EXPECT_EQ(plan.step_count(), 1U);
  EXPECT_EQ(simulate(plan).hops, 0);
}

TEST(Ring, EmptyShardsDoNotTravel) {
  // 3 rows on 8 ranks: shards of 5 ranks are empty.
  const auto plan = plan_of(Documents::single(3), Mask::full(), Sharding::contiguous, 8);
  for (int rank = 0; rank < 8; ++rank) {
    for (const auto& [reads, hop] : plan.program(rank)) {
      if (hop.send_owner >= 0) {
        EXPECT_GT(plan.key_rows(hop.send_owner), 0);
      }
    }
  }
}

TEST(Ring, FewerThanOneRankIsRefused) {
  EXPECT_THROW((void)make_plan({.documents = Documents::single(3)}, {.ranks = 0}), InputError);
  EXPECT_THROW((void)make_plan({.query_heads = 3, .key_heads = 2}, {.ranks = 1}), InputError);
}

}  // namespace
}  // namespace annulus
