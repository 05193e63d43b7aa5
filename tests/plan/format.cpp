#include "annulus/plan/format.hpp"

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

TEST(Format, APlanReadsAsASentenceAStep) {
  const auto plan = make_plan({.documents = Documents::single(7), .mask = Mask::causal()},
                              {.ranks = 2}, {.sharding = Sharding::contiguous});
  EXPECT_EQ(to_string(plan),
            "ring over 2 ranks, contiguous sharding, 2 steps, fp32\n"
            "rank 0 holds queries 0:0..2 and the same keys\n"
            "rank 1 holds queries 0:3..6 and the same keys\n"
            "step 0 rank 0: computes with keys of 0, sends keys of 0 to 1\n"
            "step 0 rank 1: computes with keys of 1, receives keys of 0 from 0\n"
            "step 1 rank 0: computes nothing\n"
            "step 1 rank 1: computes with keys of 0\n");
}

TEST(Format, APlanOverNodesSaysWhoHoldsWhatIsRead) {
  const auto plan = make_plan({.documents = Documents::single(8), .mask = Mask::full()},
                              even_topology(4, 2), {.sharding = Sharding::contiguous});
  const auto text = to_string(plan);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "node-ring over 2 nodes of 2 ranks, contiguous sharding, 2 steps, fp32");
  EXPECT_NE(text.find("step 0 rank 0: computes with keys of 0 1, sends keys of 0 to 2, receives "
                      "keys of 2 from 2\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("step 1 rank 1: computes with keys of 3 2 (held by 0)\n"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace annulus
