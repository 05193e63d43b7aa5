// Passes that benchmarks time, on a GPU or the model of one.
#include "annulus/measure/timed_pass.hpp"

#include <gtest/gtest.h>

#include "annulus/comm/threads.hpp"
#include "support/gpu_under_test.hpp"

namespace annulus::test {
namespace {

using measure::TimedPass;

TEST(TimedPassOnGpu, RunsAgainAndAgainOnTensorsOfTheDevice) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 16,
                        .documents = Documents::single(53),
                        .mask = Mask::causal()};
  const PlanOptions options{.sharding = Sharding::zigzag,
                            .schedule = annulus::Schedule::ring,
                            .data_type = DataType::bfloat16};
  for (const auto* kernel : gpus_under_test()) {
    for (const int ranks : {1, 3}) {
      comm::run_threads(ranks, [&](comm::Communicator& communicator) {
        const auto plan = make_plan(problem, communicator.topology(), options);
        const auto stream = kernel->open_stream(0);
        const auto inputs = measure::timed_inputs(plan, communicator.rank(), 1, stream);
        for (const auto& view : {inputs->q.view(), inputs->k.view(), inputs->dout.view()}) {
          EXPECT_TRUE(stream->reaches(view.data)) << "a copy would be timed";
        }
        const auto run = [&](Pass pass, Statistics statistics) {
          TimedPass timed(plan, pass, statistics, inputs, communicator, *kernel, 1);
          for (int repetition = 0; repetition < 2; ++repetition) {
            // The model has no clock.
            EXPECT_GE(timed.run().seconds, 0);
            EXPECT_EQ(timed.last().bytes_sent > 0, ranks > 1);
          }
        };
        run(Pass::forward, Statistics::off);
        run(Pass::forward, Statistics::on);
        run(Pass::backward, Statistics::off);
      });
    }
  }
}

}  // namespace
}  // namespace annulus::test
