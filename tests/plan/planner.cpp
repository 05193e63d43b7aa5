// What is predicted of plans, and which one is chosen.
#include "annulus/plan/planner.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"

namespace annulus {
namespace {

Problem full_problem(Index n, Index heads = 8) {
  return {.query_heads = heads,
          .key_heads = heads,
          .head_dim = 64,
          .documents = Documents::single(n),
          .mask = Mask::full()};
}

/// A machine in which pairs and bytes alone take time.
Machine bare_machine(double per_pair, double bytes_per_second) {
  return {.name = "bare",
          .kernels = {{.head_dim = 64, .per_pair = per_pair},
                      {.pass = Pass::backward, .head_dim = 64, .per_pair = 2.5 * per_pair}},
          .between = {.bytes_per_second = bytes_per_second}};
}

constexpr double per_pair = 1e-9;

/// Seconds of one step of a ring, of one rank.
double compute_seconds(const Plan& plan) {
  const auto rows = static_cast<double>(plan.query_rows(0));
  return rows * rows * static_cast<double>(plan.problem().query_heads) * per_pair;
}

TEST(Prediction, OfARingIsTheClosedForm) {
  for (const int ranks : {1, 2, 3, 8}) {
    const auto plan = make_plan(full_problem(64 * 24), {.ranks = ranks},
                                {.sharding = Sharding::contiguous, .schedule = Schedule::ring});
    const double compute = compute_seconds(plan);
    const auto bytes = static_cast<double>(plan.bytes(plan.keys_of(0)));
    // Transfers that are quicker than a step hide, and slower ones are all that one waits for.
    for (const double transfer : {0.5 * compute, 3 * compute}) {
      const auto predicted =
          predict(plan, {.ranks = ranks}, Pass::forward, bare_machine(per_pair, bytes / transfer));
      const double exposed = (ranks - 1) * std::max(0.0, transfer - compute);
      EXPECT_NEAR(predicted.exposed_seconds, exposed, 1e-9 * transfer);
      EXPECT_NEAR(predicted.seconds, ranks * compute + exposed, 1e-9 * compute);
      EXPECT_NEAR(predicted.link_seconds, (ranks - 1) * transfer, 1e-9 * transfer);
    }
  }
}

// A rank that has less to compute leaves its core to the other one.
TEST(Prediction, RanksThatShareACoreTakeWhatAllComputeTogether) {
  auto problem = full_problem(64 * 24);
  problem.mask = Mask::causal();
  const auto plan = make_plan(problem, {.ranks = 2, .node_of = {0, 0}},
                              {.sharding = Sharding::contiguous, .schedule = Schedule::ring});
  auto machine = bare_machine(per_pair, 1e30);
  const auto on_cores = [&](int cores) {
    machine.cores = cores;
    return predict(plan, {.ranks = 2, .node_of = {0, 0}}, Pass::forward, machine);
  };
  const auto alone = on_cores(2);
  EXPECT_GT(alone.compute_seconds, 1.4 * alone.mean_seconds) << "the second rank sees more keys";
  const auto shared = on_cores(1);
  EXPECT_NEAR(shared.seconds, 2 * alone.mean_seconds, 1e-9 * alone.seconds);
  EXPECT_NEAR(shared.compute_seconds, 2 * alone.compute_seconds, 1e-9 * alone.seconds);
  EXPECT_EQ(on_cores(4).seconds, alone.seconds);
}

TEST(Prediction, RanksOfANodeShareItsLinks) {
  // All ranks of a node send to ranks of the other one at once.
  const auto topology = even_topology(8, 4);
  const auto plan =
      make_plan(full_problem(64 * 32), topology,
                {.sharding = Sharding::contiguous,
                 .schedule = Schedule{.movement = Movement::double_ring, .inner = 4}});
  const auto bytes = static_cast<double>(plan.bytes(plan.keys_of(0)));
  const double outer = 20 * compute_seconds(plan);
  auto machine = bare_machine(per_pair, bytes / outer);
  for (const int links : {1, 2, 4, 8}) {
    machine.links = links;
    const double each = outer * 4 / std::min(links, 4);
    for (const int most_ranks : {64, 2}) {
      const auto predicted =
          predict(plan, topology, Pass::forward, machine, {.most_ranks = most_ranks});
      EXPECT_NEAR(predicted.link_seconds, each, 1e-9 * each);
      EXPECT_NEAR(predicted.exposed_seconds, each - 4 * compute_seconds(plan), 1e-9 * each);
    }
  }
}

// Both ranks of a node send queries to the other node at once, and later states: all wait as long,
// where one of them would be early if messages took turns.
TEST(Prediction, MessagesThatSetOutTogetherAreThereTogether) {
  const auto topology = even_topology(4, 2);
  const auto plan =
      make_plan(full_problem(64 * 32), topology,
                {.sharding = Sharding::contiguous, .schedule = parse_schedule("tiles:2x2")});
  const auto queries = plan.queries_of(0);
  const auto seconds = [&](What what, double bandwidth) {
    return 2 * static_cast<double>(plan.bytes(queries.as(what))) / bandwidth;
  };
  const double compute = compute_seconds(plan);
  const double bandwidth = static_cast<double>(plan.bytes(queries)) / compute;
  const auto predicted = predict(plan, topology, Pass::forward, bare_machine(per_pair, bandwidth));
  const double exposed =
      seconds(What::queries, bandwidth) + seconds(What::states, bandwidth) - 2 * compute;
  EXPECT_NEAR(predicted.exposed_seconds, exposed, 1e-9 * exposed);
}

TEST(Prediction, OfSomeStepsIsAboutThatOfAll) {
  auto problem = full_problem(64 * 4096, 1);
  problem.mask = Mask::causal();
  problem.query_heads = problem.key_heads = 8;
  for (const auto& name : {"ring", "double-ring:8", "tiles", "bidirectional", "heads:4", "heads:8",
                           "heads:2+tiles", "heads:4+double-ring"}) {
    const auto topology = even_topology(1024, 8);
    const auto plan = make_plan(problem, topology,
                                {.sharding = Sharding::zigzag, .schedule = parse_schedule(name)});
    for (const double bandwidth : {1e8, 1e9, 1e10}) {
      const auto machine = bare_machine(per_pair, bandwidth);
      const auto whole = predict(plan, topology, Pass::forward, machine, {.most_ranks = 4});
      const auto some =
          predict(plan, topology, Pass::forward, machine, {.most_ranks = 4, .most_steps = 128});
      EXPECT_NEAR(some.seconds, whole.seconds, 0.02 * whole.seconds) << name << ' ' << bandwidth;
    }
  }
}

TEST(Prediction, CountsCoresThatThereAre) {
  const auto plan = make_plan(full_problem(64 * 16), even_topology(4, 4),
                              {.sharding = Sharding::contiguous, .schedule = Schedule::node_ring});
  auto machine = bare_machine(per_pair, 1e9);
  const auto seconds = [&](int cores, int threads) {
    machine.cores = cores;
    return predict(plan, even_topology(4, 4), Pass::forward, machine, {.threads = threads}).seconds;
  };
  EXPECT_DOUBLE_EQ(seconds(8, 2), seconds(4, 1) / 2);
  EXPECT_DOUBLE_EQ(seconds(2, 1), 2 * seconds(4, 1));
  EXPECT_DOUBLE_EQ(seconds(0, 2), seconds(8, 2));
}

TEST(Machine, SaysWhatItHasNoFiguresFor) {
  const auto machine = bare_machine(per_pair, 1e9);
  EXPECT_DOUBLE_EQ(kernel_cost(machine, DataType::float32, Pass::forward, 128, 128).per_pair,
                   2 * per_pair);
  EXPECT_THROW((void)kernel_cost(machine, DataType::bfloat16, Pass::forward, 64, 64), InputError);
  EXPECT_THROW((void)find_machine("abacus"), InputError);
  for (const auto& known : known_machines()) {
    for (const auto type :
         {DataType::float64, DataType::float32, DataType::bfloat16, DataType::float16}) {
      for (const auto pass : {Pass::forward, Pass::backward}) {
        EXPECT_GT(kernel_cost(known, type, pass, 80, 80).per_pair, 0) << known.name;
      }
    }
  }
}

// Bytes over bandwidth, by hand: 59 ms of a ring, 8.6 of tiles, 7.4 of heads inside nodes and 2.9
// of heads and tiles. Seven go into computing.
TEST(Planner, TakesWhatHidesOnManyGpus) {
  Machine machine{
      .name = "example",
      .kernels = {{.type = DataType::bfloat16, .head_dim = 128, .per_pair = 4 * 128 / 600e12}},
      .inside = {.bytes_per_second = 400e9},
      .between = {.bytes_per_second = 50e9},
      .links = 8};
  const auto topology = even_topology(1024, 8);
  const Problem problem{.query_heads = 32,
                        .key_heads = 8,
                        .head_dim = 128,
                        .documents = Documents::single(724077),
                        .mask = Mask::causal()};
  const PlanOptions options{.sharding = Sharding::zigzag,
                            .peer_memory = PeerMemory::separate,
                            .data_type = DataType::bfloat16,
                            .machine = std::make_shared<const Machine>(machine)};
  const auto ranked = rank_plans(problem, topology, options);
  const auto predicted = [&](std::string_view name) {
    const auto found = std::ranges::find_if(ranked, [&](const Candidate& candidate) {
      return name_of(candidate.plan.schedule()) == name;
    });
    return found == ranked.end() ? Prediction{.seconds = NAN, .link_seconds = NAN}
                                 : found->prediction;
  };
  EXPECT_NEAR(predicted("ring").link_seconds, 59e-3, 0.5e-3);
  EXPECT_NEAR(predicted("tiles:16x64").link_seconds, 8.6e-3, 0.1e-3);
  EXPECT_NEAR(predicted("heads:8").link_seconds, 7.4e-3, 0.1e-3);
  EXPECT_NEAR(predicted("heads:8+tiles:4x32").link_seconds, 2.87e-3, 0.05e-3);
  EXPECT_GT(predicted("ring").exposed_seconds, 50e-3);
  const auto& best = ranked.front();
  EXPECT_TRUE(best.plan.schedule().heads > 1 ||
              best.plan.schedule().movement == Movement::double_ring);
  EXPECT_LT(best.prediction.exposed_seconds, 0.02 * best.prediction.seconds);
  const auto chosen = make_plan(problem, topology, options).schedule();
  EXPECT_LT(predicted(name_of(chosen)).seconds, 1.03 * best.prediction.seconds);
}

TEST(Planner, KeepsWindowsContiguousOverSlowLinks) {
  auto problem = full_problem(8192, 4);
  problem.mask = Mask::window(512);
  auto machine = find_machine("zen4");
  machine.between.bytes_per_second = 1.25e8;
  for (const auto type : {DataType::float32, DataType::bfloat16}) {
    const auto plan =
        make_plan(problem, even_topology(4, 2),
                  {.data_type = type, .machine = std::make_shared<const Machine>(machine)});
    EXPECT_EQ(plan.sharding(), Sharding::contiguous);
  }
}

TEST(Planner, TakesTheSimplestWhereNothingIsClearlyBetter) {
  EXPECT_EQ(make_plan(full_problem(16384), even_topology(4, 4)).schedule(), Schedule::node_ring);
  EXPECT_EQ(make_plan(full_problem(65536), {.ranks = 3}).schedule(), Schedule::ring);
  EXPECT_EQ(make_plan(full_problem(100), {.ranks = 1}).schedule(), Schedule::ring);
}

TEST(Planner, SaysFromWhichLengthOnTransfersHide) {
  auto machine = bare_machine(per_pair, 1e9);
  const PlanOptions options{.sharding = Sharding::contiguous,
                            .schedule = Schedule::ring,
                            .machine = std::make_shared<const Machine>(machine)};
  const Topology topology{.ranks = 4};
  const auto ranked = rank_plans(full_problem(64), topology, options);
  ASSERT_EQ(ranked.size(), 1U);
  // Of s rows: s^2 H per_pair seconds of computing, 2 s H d 4 / bandwidth of transfer.
  const double rows = 2 * 64 * 4 / (1e9 * per_pair);
  const auto from = static_cast<double>(hidden_from(ranked.front(), topology, options));
  EXPECT_NEAR(from, 4 * rows, 0.15 * 4 * rows);
}

TEST(Planner, AnEmptySequenceTakesNoTimeForAReason) {
  EXPECT_EQ(reason({}), "there is nothing to compute");
}

}  // namespace
}  // namespace annulus
