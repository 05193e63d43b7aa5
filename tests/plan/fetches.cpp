// Schedules in which ranks fetch what they compute with, by simulation.
#include <algorithm>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/plan/heads.hpp"
#include "annulus/plan/plan.hpp"
#include "plan/simulation.hpp"

namespace annulus {
namespace {

using test::simulate;
using testing::HasSubstr;

Problem problem_of(Documents documents, Mask mask, Index heads = 1, Index key_heads = 1) {
  Problem problem{.documents = std::move(documents), .mask = mask};
  problem.query_heads = heads;
  problem.key_heads = key_heads;
  problem.head_dim = 4;
  return problem;
}

Plan plan_of(const Problem& problem, const char* schedule, const Topology& topology,
             Sharding sharding = Sharding::contiguous) {
  return make_plan(problem, topology, {.sharding = sharding, .schedule = parse_schedule(schedule)});
}

/// Every visible pair of every head once, and what it gives to the gradient of the key.
void expect_complete(const Plan& plan) {
  const auto& problem = plan.problem();
  const auto& documents = problem.documents;
  const auto forward = simulate(plan);
  const auto backward = simulate(plan, Pass::backward);
  Index visible = 0;
  std::vector<int> owners(static_cast<std::size_t>(documents.queries()));
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const Index row : packed_rows(plan.query_shard(rank), documents.query_offsets())) {
      owners[static_cast<std::size_t>(row)] = rank;
    }
  }
  for (std::size_t query = 0; query < forward.pairs.size(); ++query) {
    for (std::size_t key = 0; key < forward.pairs[query].size(); ++key) {
      const int met = forward.pairs[query][key];
      ASSERT_LE(met, 1) << query << " meets " << key;
      visible += met;
      if (met == 0) continue;
      for (Index h = 0; h < problem.query_heads; ++h) {
        const auto place = static_cast<std::size_t>(owners[query] * problem.query_heads + h);
        ASSERT_EQ(backward.gradients[key][place], 1) << "key " << key << ", head " << h;
      }
    }
  }
  EXPECT_EQ(visible, visible_area(problem));
  EXPECT_EQ(backward.pairs, forward.pairs);
  for (const auto& gradients : backward.gradients) {
    for (const int count : gradients) ASSERT_LE(count, 1);
  }
}

const std::vector<Documents> shapes{Documents::single(53), Documents::single(3),
                                    Documents::single(7, 40), Documents::packed({0, 7, 7, 29, 53}),
                                    Documents::batch(5, 6, 6)};
const std::vector<Mask> masks{Mask::full(), Mask::causal(), Mask::window(5), Mask::window(3, 9)};

struct Arranged {
  const char* schedule;
  int ranks;
  Index heads = 1;
  Index key_heads = 1;
};

TEST(Fetches, EveryPairIsComputedOnceAndEveryGradientComesHome) {
  const std::vector<Arranged> all{{"double-ring:2", 6},
                                  {"double-ring:3", 6},
                                  {"double-ring:1", 4},
                                  {"double-ring:5", 5},
                                  {"double-ring:4", 8},
                                  {"tiles:1x1", 1},
                                  {"tiles:2x3", 6},
                                  {"tiles:3x2", 6},
                                  {"tiles:5x1", 5},
                                  {"tiles:1x5", 5},
                                  {"tiles:2x2", 4},
                                  {"tiles", 8},
                                  {"heads:2", 2, 2, 1},
                                  {"heads:2", 2, 4, 2},
                                  {"heads:3", 3, 4, 2},
                                  {"heads:4", 4, 6, 3},
                                  {"heads:4", 4, 6, 1},
                                  {"heads:2", 6, 3, 3},
                                  {"heads:3", 12, 9, 3},
                                  {"heads:2+tiles:2x2", 8, 4, 2},
                                  {"heads:3+tiles:1x2", 6, 5, 5},
                                  {"heads:2+tiles:3x1", 6, 6, 2},
                                  {"heads:2+double-ring:2", 8, 4, 4},
                                  {"heads:2+double-ring:3", 6, 2, 2}};
  for (const auto& [schedule, ranks, heads, key_heads] : all) {
    for (const auto& documents : shapes) {
      for (const auto& mask : masks) {
        for (const auto sharding : all_shardings()) {
          SCOPED_TRACE(std::string(schedule) + " P=" + std::to_string(ranks) + " " + mask.name() +
                       " " + std::string(name_of(sharding)) +
                       " n=" + std::to_string(documents.queries()));
          expect_complete(plan_of(problem_of(documents, mask, heads, key_heads), schedule,
                                  even_topology(ranks, ranks), sharding));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(Fetches, ManyRanksAreComplete) {
  for (const auto& [schedule, ranks, heads, key_heads] :
       std::vector<Arranged>{{"double-ring:8", 64},
                             {"tiles", 64},
                             {"tiles:4x16", 64},
                             {"heads:4", 64, 4, 2},
                             {"heads:4+tiles:2x8", 64, 4, 1},
                             {"heads:2+double-ring:4", 64, 2, 2},
                             {"tiles:7x7", 49}}) {
    SCOPED_TRACE(schedule);
    expect_complete(plan_of(problem_of(Documents::single(131), Mask::causal(), heads, key_heads),
                            schedule, {.ranks = ranks}, Sharding::zigzag));
  }
}

// What a team brings meets at once: its own queries and those of the others, of each team, meet the
// own keys, those of the others, and those of each team.
TEST(Fetches, KeysOfATeamMeetQueriesOfATeamInOneCall) {
  for (const auto& [schedule, batches, visits] : {std::tuple{"heads:4", 2, 5},
                                                  {"heads:4+double-ring:2", 2, 5},
                                                  {"heads:4+tiles:2x2", 3, 3},
                                                  {"heads:2+tiles:2x4", 3, 5}}) {
    SCOPED_TRACE(schedule);
    const auto plan = plan_of(problem_of(Documents::single(256), Mask::causal(), 8, 4), schedule,
                              {.ranks = 16}, Sharding::zigzag);
    for (const auto pass : {Pass::forward, Pass::backward}) {
      std::size_t calls = 0;
      for (const auto& step : plan.program(5, pass).steps) calls += step.computes.size();
      EXPECT_EQ(calls, static_cast<std::size_t>(batches * visits));
    }
  }
}

// Nodes whose ranks are not numbered one after the other.
TEST(Fetches, RanksOfANodeStayTogether) {
  const Topology topology{.ranks = 6, .node_of = {0, 1, 0, 1, 1, 0}};
  const auto plan =
      plan_of(problem_of(Documents::single(53), Mask::full()), "double-ring", topology);
  EXPECT_EQ(name_of(plan.schedule()), "double-ring:3");
  expect_complete(plan);
  int crossings = 0;
  for (int rank = 0; rank < 6; ++rank) {
    for (const auto& step : plan.program(rank).steps) {
      for (const auto& send : step.sends) crossings += same_node(topology, rank, send.peer) ? 0 : 1;
    }
  }
  EXPECT_EQ(crossings, 6) << "every shard crosses once";
}

/// Bytes that `rank` sends.
Index bytes_sent(const Plan& plan, int rank, Pass pass = Pass::forward) {
  return cost_of(plan, rank, pass).bytes_sent;
}

TEST(Fetches, VolumesAreThoseOfTheirClosedForms) {
  constexpr Index s = 12;
  constexpr Index heads = 4;
  constexpr Index key_heads = 2;
  constexpr Index d = 4;
  constexpr Index e = 4;
  const auto problem_for = [&](int ranks) {
    return problem_of(Documents::single(s * ranks), Mask::full(), heads, key_heads);
  };
  const Index shard = 2 * s * key_heads * d * e;
  const Index queries = s * heads * d * e;
  const Index states = s * heads * (d + 5) * e;
  const Index output_gradients = s * heads * (d + 3) * e;
  for (const auto& [a, b] : {std::pair{2, 3}, {3, 2}, {1, 6}, {6, 1}}) {
    const auto name = "tiles:" + std::to_string(a) + "x" + std::to_string(b);
    const auto plan = plan_of(problem_for(6), name.c_str(), {.ranks = 6});
    EXPECT_EQ(bytes_sent(plan, 4), (a - 1) * (queries + states) + (b - 1) * shard);
    EXPECT_EQ(bytes_sent(plan, 4, Pass::backward),
              (a - 1) * (queries + output_gradients + queries) + (b - 1) * 2 * shard);
  }
  // Each of two nodes of three: every shard crosses once, and goes to all others of both.
  const auto rings = plan_of(problem_for(6), "double-ring:3", {.ranks = 6});
  EXPECT_EQ(bytes_sent(rings, 4), (1 + 2 * 2) * shard);
  EXPECT_EQ(bytes_sent(rings, 4, Pass::backward), 2 * (1 + 2 * 2) * shard);
  // In teams of two, half of the heads go to the other, and the rest to whole teams.
  const auto teams = plan_of(problem_for(6), "heads:2", {.ranks = 6});
  EXPECT_EQ(bytes_sent(teams, 4), (queries + states + shard) / 2 + 2 * shard);
  // The same in halves, to both sides.
  const auto halves = plan_of(problem_for(6), "heads:2+bidirectional", {.ranks = 6});
  EXPECT_EQ(bytes_sent(halves, 4), bytes_sent(teams, 4));
  EXPECT_EQ(bytes_sent(halves, 4, Pass::backward), bytes_sent(teams, 4, Pass::backward));
  for (const auto& step : halves.program(4).steps) {
    Index keys = 0;  // to other teams
    for (const auto& send : step.sends) keys += send.item.what == What::keys && send.peer != 5;
    EXPECT_TRUE(keys == 0 || keys == 4) << "two teams of two at once";
  }
}

TEST(Fetches, SchedulesThatDoNotFitSayWhatWould) {
  const auto message_of = [](const char* schedule, int ranks, Index heads = 4,
                             const Topology& topology = {}) {
    try {
      const auto problem = problem_of(Documents::single(64), Mask::full(), heads, heads);
      (void)plan_of(problem, schedule,
                    topology.node_of.empty() ? even_topology(ranks, ranks) : topology);
      return std::string("fits");
    } catch (const InputError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(message_of("tiles:2x2", 6),
              HasSubstr("tiles:2x2: 2 x 2 tiles for 6 ranks; expected tiles:1x6, tiles:2x3, "
                        "tiles:3x2 or tiles:6x1"));
  EXPECT_THAT(message_of("heads:4", 6),
              HasSubstr("heads:4: teams of 4 out of 6 ranks for 4 heads; expected 1, 2 or 3"));
  EXPECT_THAT(message_of("heads:8", 8), HasSubstr("expected 1, 2 or 4"));
  EXPECT_THAT(message_of("double-ring:4", 6),
              HasSubstr("inner rings of 4 out of 6 ranks; expected 1, 2, 3 or 6"));
  EXPECT_THAT(message_of("heads:2+node-ring", 4),
              HasSubstr("expected ring, bidirectional, double-ring or tiles"));
  EXPECT_THAT(message_of("double-ring", 5, 1, even_topology(5, 2)), HasSubstr("double-ring:M"));
  EXPECT_EQ(message_of("heads:2+double-ring", 4), "fits");
}

TEST(Fetches, NamesReadBack) {
  for (const auto* name : {"ring", "node-ring", "bidirectional", "double-ring", "double-ring:4",
                           "tiles", "tiles:2x3", "heads:4", "heads:4+tiles",
                           "heads:4+bidirectional", "heads:2+tiles:2x8", "heads:2+double-ring:3"}) {
    EXPECT_EQ(name_of(parse_schedule(name)), name);
  }
  EXPECT_EQ(name_of(parse_schedule("heads:4+ring")), "heads:4");
  EXPECT_EQ(name_of(parse_schedule("heads:1+tiles:2x2")), "tiles:2x2");
  for (const auto* name :
       {"", "tiles:", "tiles:2", "tiles:2x", "tiles:2x0", "tiles:2x3x4", "ring:2", "heads",
        "heads:", "heads:0", "heads:2+", "heads:2+rings", "heads:2x2", "double-ring:0",
        "double-ring:2x2", "heads:2+heads:2", "tiles:-1x2", "tiles:99999999999x1"}) {
    EXPECT_THROW((void)parse_schedule(name), InputError) << name;
  }
}

// Parts are heads of one key head, or all heads of several.
TEST(Fetches, MembersShareOutAllHeads) {
  for (const auto& [heads, key_heads] :
       {std::pair{12, 4}, {6, 3}, {7, 7}, {8, 1}, {5, 5}, {9, 3}}) {
    const auto problem = problem_of(Documents::single(4), Mask::full(), heads, key_heads);
    const Index group = heads / key_heads;
    for (int team = 1; team <= heads; ++team) {
      Index next = 0;
      for (int member = 0; member < team; ++member) {
        Index own = 0;
        for (const auto& [begin, end] : heads_of_member(problem, team, member)) {
          EXPECT_EQ(begin, next);
          const auto keys = key_heads_of(problem, {begin, end});
          EXPECT_TRUE(keys.size() == 1 || (end - begin == keys.size() * group));
          own += end - begin;
          next = end;
        }
        EXPECT_TRUE(own == heads / team || own == heads / team + 1);
      }
      EXPECT_EQ(next, heads);
    }
  }
}

}  // namespace
}  // namespace annulus
