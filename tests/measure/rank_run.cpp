// Sums over a trace.
#include "annulus/measure/rank_run.hpp"

#include <gtest/gtest.h>

namespace annulus::measure {
namespace {

/// Ranks 0 and 1 on a node, 2 on another.
Topology two_nodes() {
  return {.ranks = 3, .node_of = {0, 0, 1}};
}

PassTrace sample() {
  const auto event = [](Activity activity, std::size_t step, double begin, double end,
                        int peer = -1, Index bytes = 0) {
    return TraceEvent{.activity = activity,
                      .step = step,
                      .begin = begin,
                      .end = end,
                      .peer = peer,
                      .bytes = bytes};
  };
  return {.pass = Pass::forward,
          .seconds = 10,
          .events = {event(Activity::waits, 0, 0, 0.5), event(Activity::computes, 0, 1, 4),
                     event(Activity::waits, 1, 4, 5), event(Activity::sends, 0, 1, 4.5, 1, 100),
                     event(Activity::receives, 0, 1.5, 4.25, 2, 70),
                     event(Activity::computes, 1, 5, 7), event(Activity::computes, 1, 7, 7.5),
                     event(Activity::sends, 1, 5, 6, 2, 1000), event(Activity::waits, 2, 8, 8.25)}};
}

TEST(RankRun, AddsUpWhatWasTraced) {
  const auto run = rank_run_of(sample(), two_nodes(), 0);
  EXPECT_DOUBLE_EQ(run.seconds, 10);
  EXPECT_DOUBLE_EQ(run.compute_seconds, 5.5);
  EXPECT_DOUBLE_EQ(run.exposed_seconds, 1.75);
  EXPECT_DOUBLE_EQ(run.other_seconds(), 2.75);
  ASSERT_EQ(run.steps.size(), 3U);
  EXPECT_DOUBLE_EQ(run.steps[0].compute_seconds, 3);
  EXPECT_DOUBLE_EQ(run.steps[0].exposed_seconds, 0.5);
  EXPECT_DOUBLE_EQ(run.steps[1].compute_seconds, 2.5);
  EXPECT_DOUBLE_EQ(run.steps[1].exposed_seconds, 1);
  EXPECT_DOUBLE_EQ(run.steps[2].exposed_seconds, 0.25);
}

TEST(RankRun, CountsMomentsWithSeveralTransfersOnce) {
  const auto run = rank_run_of(sample(), two_nodes(), 0);
  EXPECT_DOUBLE_EQ(run.transfer_seconds, 3.5 + 1);
  EXPECT_DOUBLE_EQ(run.exposed_transfer_seconds, 0.5) << "the wait from 4 to 5 until 4.5";
}

TEST(RankRun, TellsNodesApart) {
  const auto run = rank_run_of(sample(), two_nodes(), 0);
  EXPECT_EQ(run.bytes_sent, 1100);
  EXPECT_EQ(run.bytes_between_nodes, 1000);
  EXPECT_EQ(run.messages_sent, 2);
  EXPECT_EQ(rank_run_of(sample(), {.ranks = 3}, 0).bytes_between_nodes, 1100)
      << "where nothing is known, every rank is a node";
}

}  // namespace
}  // namespace annulus::measure
