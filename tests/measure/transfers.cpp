// The transfers of a pass without what it computes.
#include "annulus/measure/transfers.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "annulus/comm/threads.hpp"
#include "support/gpu_under_test.hpp"
#include "support/schedules.hpp"

namespace annulus::test {
namespace {

Problem problem() {
  return {.query_heads = 4,
          .key_heads = 2,
          .head_dim = 16,
          .documents = Documents::single(101),
          .mask = Mask::causal()};
}

/// The same on all ranks; more than none where anything is sent, else NaN.
void expect_seconds(const Plan& plan, Pass pass, comm::Communicator& communicator,
                    const std::shared_ptr<device::Stream>& stream) {
  const double seconds = measure::seconds_of_transfers_alone(plan, pass, communicator, stream);
  Index sent = 0;
  for (const auto& step : plan.program(communicator.rank(), pass).steps) {
    sent += static_cast<Index>(step.sends.size());
  }
  communicator.all_reduce(std::span(&sent, 1), comm::Reduction::sum);
  EXPECT_EQ(std::isnan(seconds), sent == 0);
  if (sent > 0) {
    EXPECT_GT(seconds, 0);
    EXPECT_LT(seconds, 10);
  }
}

TEST(TransfersAlone, EndOnEverySchedule) {
  constexpr int ranks = 4;
  auto schedules = schedules_for(ranks, problem().query_heads);
  schedules.push_back(annulus::Schedule::ring);
  schedules.push_back(annulus::Schedule::node_ring);
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    for (const auto& schedule : schedules) {
      SCOPED_TRACE(name_of(schedule));
      const auto plan = make_plan(problem(), communicator.topology(), {.schedule = schedule});
      for (const auto pass : {Pass::forward, Pass::backward}) {
        expect_seconds(plan, pass, communicator, device::cpu_stream());
      }
    }
  });
}

TEST(TransfersAlone, EndOnAGpu) {
  for (const auto* kernel : gpus_under_test()) {
    comm::run_threads(2, [&](comm::Communicator& communicator) {
      const auto plan =
          make_plan(problem(), communicator.topology(),
                    {.schedule = annulus::Schedule::ring, .data_type = DataType::bfloat16});
      expect_seconds(plan, Pass::forward, communicator, kernel->open_stream(0));
    });
  }
}

}  // namespace
}  // namespace annulus::test
