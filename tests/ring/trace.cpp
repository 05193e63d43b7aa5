// What passes say of what they did when.
#include "annulus/ring/pass_trace.hpp"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "annulus/kernels/cpu.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "support/gradients.hpp"
#include "support/schedules.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

std::vector<TraceEvent> events_of(const PassTrace& trace, Activity activity) {
  std::vector<TraceEvent> events;
  std::ranges::copy_if(trace.events, std::back_inserter(events),
                       [&](const TraceEvent& event) { return event.activity == activity; });
  return events;
}

/// Every transfer of the program once, with its step and bytes; returns the bytes.
Index expect_transfers(const PassTrace& trace, const Plan& plan, const Program& program,
                       Activity activity) {
  auto events = events_of(trace, activity);
  Index bytes = 0;
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    const auto& step = program.steps[at];
    for (const auto& transfer : activity == Activity::sends ? step.sends : step.receives) {
      const auto found = std::ranges::find_if(events, [&](const TraceEvent& event) {
        return event.step == at && event.item == transfer.item && event.peer == transfer.peer;
      });
      if (found == events.end()) {
        ADD_FAILURE() << name_of(activity) << " of step " << at << " are missing";
        continue;
      }
      EXPECT_EQ(found->bytes, plan.bytes(transfer.item));
      bytes += found->bytes;
      events.erase(found);
    }
  }
  EXPECT_TRUE(events.empty());
  return bytes;
}

void expect_trace(const PassTrace& trace, const Plan& plan, const Program& program,
                  const PassReport& report) {
  EXPECT_EQ(expect_transfers(trace, plan, program, Activity::sends), report.bytes_sent);
  expect_transfers(trace, plan, program, Activity::receives);
  std::vector<std::size_t> computes;
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    computes.insert(computes.end(), program.steps[at].computes.size(), at);
  }
  std::vector<std::size_t> traced;
  double waited = 0;
  double busy_until = 0;  // a rank does one thing at a time, but for transfers
  for (const auto& event : trace.events) {
    EXPECT_LE(0, event.begin);
    EXPECT_LE(event.begin, event.end);
    EXPECT_LE(event.end, trace.seconds);
    if (event.activity == Activity::waits) waited += event.end - event.begin;
    if (event.activity == Activity::computes) traced.push_back(event.step);
    if (event.activity == Activity::sends || event.activity == Activity::receives) continue;
    EXPECT_LE(busy_until, event.begin);
    busy_until = event.end;
  }
  EXPECT_EQ(traced, computes);
  EXPECT_DOUBLE_EQ(waited, report.exposed_seconds);
  EXPECT_EQ(trace.seconds, report.seconds);
}

TEST(Trace, HasEveryComputeWaitAndTransferOfBothPasses) {
  const auto whole = random_problem<float>({.query_heads = 4,
                                            .key_heads = 2,
                                            .head_dim = 6,
                                            .documents = Documents::single(101),
                                            .mask = Mask::causal()},
                                           31);
  const auto dout = random_dout<float>(whole.problem);
  constexpr int ranks = 4;
  auto schedules = schedules_for(ranks, whole.problem.query_heads);
  schedules.push_back(annulus::Schedule::ring);
  schedules.push_back(annulus::Schedule::node_ring);
  for (const auto& schedule : schedules) {
    SCOPED_TRACE(name_of(schedule));
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      const int rank = communicator.rank();
      const auto plan = make_plan(whole.problem, communicator.topology(), {.schedule = schedule});
      const RankInputs<float> inputs(whole, plan, rank);
      const auto own_dout = take_rows(dout, inputs.rows);
      RingAttention attention(plan, communicator, kernels::cpu());
      PassTensors tensors(plan, rank, {.backward = true});
      std::vector<PassTrace> traces;
      attention.trace(&traces);
      const auto forward = tensors.forward(attention, inputs.views());
      const auto backward = tensors.backward(attention, inputs.views(own_dout.view()));
      attention.trace(nullptr);
      tensors.forward(attention, inputs.views());
      ASSERT_EQ(traces.size(), 2U);
      EXPECT_EQ(traces[0].pass, Pass::forward);
      EXPECT_EQ(traces[1].pass, Pass::backward);
      EXPECT_LE(traces[0].start + traces[0].seconds, traces[1].start);
      const auto program = plan.program(rank);
      expect_trace(traces[0], plan, program, forward);
      expect_trace(traces[1], plan, plan.backward_program(rank, program), backward);
    });
  }
}

}  // namespace
}  // namespace annulus::test
