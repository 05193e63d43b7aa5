#include "annulus/plan/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace annulus {
namespace {

TEST(Format, RunsAndShards) {
  EXPECT_EQ(to_string(annulus::Run{0, 3, 1, 4}), "0:3..6");
  EXPECT_EQ(to_string(annulus::Run{2, 1, 5, 3}), "2:1..11/5");
  EXPECT_EQ(to_string(Shard{}), "nothing");
  EXPECT_EQ(to_string(Shard(8, annulus::Run{0, 0, 1, 1})),
            "0:0..0 0:0..0 0:0..0 0:0..0 0:0..0 0:0..0 and 2 more runs");
}

/// The steps of a rank, a line each.
std::vector<std::string> steps_of(const Plan& plan, int rank, Pass pass = Pass::forward) {
  std::vector<std::string> lines;
  for (const auto& step : plan.program(rank, pass).steps) {
    lines.push_back(to_string(plan, rank, step));
  }
  return lines;
}

TEST(Format, APlanReadsAsASentenceAStep) {
  const auto plan = make_plan({.documents = Documents::single(7), .mask = Mask::causal()},
                              {.ranks = 2}, {.sharding = Sharding::contiguous});
  EXPECT_EQ(to_string(plan), "ring over 2 ranks, contiguous sharding, 2 steps, fp32");
  EXPECT_EQ(to_string(plan, 0), "rank 0 holds queries 0:0..2 and the same keys");
  EXPECT_EQ(to_string(plan, 1), "rank 1 holds queries 0:3..6 and the same keys");
  EXPECT_THAT(
      steps_of(plan, 0),
      testing::ElementsAre("computes with keys of 0, sends keys of 0 to 1", "computes nothing"));
  EXPECT_THAT(steps_of(plan, 1),
              testing::ElementsAre("computes with keys of 1, receives keys of 0 from 0",
                                   "computes with keys of 0"));
  EXPECT_THAT(steps_of(plan, 1, Pass::backward),
              testing::ElementsAre("computes with keys of 0",
                                   "computes with keys of 1, sends gradients of 0 to 0",
                                   "computes nothing"));
}

TEST(Format, APlanSaysWhichRowsGoWhereNotAllOfThemDo) {
  const auto plan = make_plan({.documents = Documents::single(32), .mask = Mask::window(3)},
                              {.ranks = 2}, {.sharding = Sharding::zigzag});
  EXPECT_THAT(steps_of(plan, 0),
              testing::ElementsAre("computes with keys of 0, sends keys of 0[5..7] to 1, receives "
                                   "keys of 1[13..15] from 1",
                                   "computes with keys of 1[13..15]"));
}

TEST(Format, APlanOverNodesSaysWhoHoldsWhatIsRead) {
  const auto plan = make_plan({.documents = Documents::single(8), .mask = Mask::full()},
                              even_topology(4, 2), {.sharding = Sharding::contiguous});
  EXPECT_EQ(to_string(plan),
            "node-ring over 2 nodes of 2 ranks, contiguous sharding, 2 steps, fp32");
  EXPECT_EQ(steps_of(plan, 0).front(),
            "computes with keys of 0 1, sends keys of 0 to 2, receives keys of 2 from 2");
  EXPECT_EQ(steps_of(plan, 1).back(), "computes with keys of 3 2 (held by 0)");
}

}  // namespace
}  // namespace annulus
