// What a core's clock is under passes.
#include "kernels/rulers/clock.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/measure/measurement.hpp"
#include "support/gpu_under_test.hpp"

namespace annulus::test {
namespace {

using kernels::ClockSamples;

TEST(Clock, IsNotKnownBeforeItIsSampled) {
  ClockSamples clock;
  EXPECT_TRUE(std::isnan(clock.seconds()));
  clock.take();
  EXPECT_GT(clock.seconds(), 0);
}

TEST(Clock, IsNotSampledWhereTheCoreHasWaited) {
  ClockSamples clock;
  EXPECT_TRUE(clock.take_after_work());
  // A core that waits asks again and again, if nothing interrupts it.
  int samples = 0;
  for (int i = 0; i < 1000; ++i) samples += clock.take_after_work() ? 1 : 0;
  EXPECT_LT(samples, 500);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(clock.take_after_work());
}

/// What is measured of a small pass by ranks that are threads; of rank 0.
measure::Measurement measure_pass(const kernels::Kernel& kernel, int ranks, Pass pass) {
  const Problem problem{
      .query_heads = 2, .key_heads = 1, .head_dim = 32, .documents = Documents::single(301)};
  measure::Measurement measured;
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    const auto plan = make_plan(problem, communicator.topology(), {});
    const auto stream = kernel.open_stream(0);
    std::vector<std::unique_ptr<measure::TimedPass>> passes;
    passes.push_back(std::make_unique<measure::TimedPass>(
        plan, pass, Statistics::off, measure::timed_inputs(plan, communicator.rank(), 1, stream),
        communicator, kernel, 1));
    measure::Rulers rulers({DataType::float32}, communicator, {.threads = 1}, measure::WithGemm::no,
                           stream);
    const auto all = measure_in_turns(passes, communicator, rulers, {.count = 2});
    if (communicator.rank() == 0) measured = all.front();
  });
  return measured;
}

TEST(Clock, OfAPassIsComparedWithThatUnderThePeak) {
  for (const auto pass : {Pass::forward, Pass::backward}) {
    const auto measured = measure_pass(kernels::cpu(), 1, pass);
    EXPECT_GT(measured.chain_seconds, 0);
    EXPECT_GT(measured.ceilings.chain_seconds, 0);
    EXPECT_EQ(measured.relative_clock(), measured.ceilings.chain_seconds / measured.chain_seconds);
  }
}

TEST(Clock, OfSeveralRanksAndOfGpusIsNotKnown) {
  EXPECT_TRUE(std::isnan(measure_pass(kernels::cpu(), 2, Pass::forward).relative_clock()));
  for (const auto* kernel : gpus_under_test()) {
    EXPECT_TRUE(std::isnan(measure_pass(*kernel, 1, Pass::forward).relative_clock()));
  }
}

}  // namespace
}  // namespace annulus::test
