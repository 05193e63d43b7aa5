// The owner of a rank's outputs, and what passes hand on to each other.
#include "annulus/ring/pass_tensors.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

Problem causal_problem() {
  return {.query_heads = 4,
          .key_heads = 2,
          .head_dim = 8,
          .documents = Documents::single(61),
          .mask = Mask::causal()};
}

std::vector<double> all_gradients(const PassTensors& tensors) {
  auto numbers = numbers_of(tensors.dq());
  for (const auto& view : {tensors.dk(), tensors.dv()}) {
    const auto more = numbers_of(view);
    numbers.insert(numbers.end(), more.begin(), more.end());
  }
  numbers.insert(numbers.end(), tensors.dgain().begin(), tensors.dgain().end());
  return numbers;
}

TEST(PassTensors, ABackwardPassThatRunsAgainFetchesWhatTheFirstUsedUp) {
  const auto whole = random_problem<float>(causal_problem(), 3);
  const auto dout = random_dout<float>(whole.problem);
  comm::run_threads(3, [&](comm::Communicator& communicator) {
    const auto plan = make_plan(whole.problem, even_topology(3, 1), {.schedule = Schedule::ring});
    const RankInputs<float> inputs(whole, plan, communicator.rank());
    const auto own_dout = take_rows(dout, inputs.rows);
    RingAttention attention(plan, communicator, kernels::cpu());
    PassTensors tensors(plan, communicator.rank(), {.backward = true, .parameters = true});
    tensors.forward(attention, inputs.views());
    EXPECT_TRUE(tensors.held().present);
    const auto first = tensors.backward(attention, inputs.views(own_dout.view()));
    EXPECT_FALSE(tensors.held().present);
    const auto gradients = all_gradients(tensors);
    const auto again = tensors.backward(attention, inputs.views(own_dout.view()));
    EXPECT_EQ(all_gradients(tensors), gradients);
    const auto bytes = [&](Index own) {
      communicator.all_reduce(std::span(&own, 1), comm::Reduction::sum);
      return own;
    };
    EXPECT_GT(bytes(again.bytes_sent), bytes(first.bytes_sent));
  });
}

TEST(PassTensors, HasWhatIsWantedAndNothingElse) {
  const auto whole = random_problem<float>(causal_problem(), 3);
  comm::run_threads(1, [&](comm::Communicator& communicator) {
    const auto plan = make_plan(whole.problem, communicator.topology());
    const RankInputs<float> inputs(whole, plan, 0);
    RingAttention attention(plan, communicator, kernels::cpu());
    PassTensors little(plan, 0, {});
    little.forward(attention, inputs.views());
    EXPECT_FALSE(little.statistics().present());
    EXPECT_FALSE(little.held().present);
    EXPECT_FALSE(little.dq().present());
    EXPECT_THROW(little.backward(attention, inputs.views()), Error);
    PassTensors more(plan, 0, {.statistics = Statistics::on, .backward = true});
    more.forward(attention, inputs.views());
    for (std::size_t s = 0; s < row_statistics().size(); ++s) {
      EXPECT_TRUE(more.statistics().at(s).has_shape(61, 4, 1)) << row_statistics()[s].name;
    }
    more.backward(attention,
                  inputs.views(take_rows(random_dout<float>(whole.problem), inputs.rows).view()));
    EXPECT_TRUE(more.dk().has_shape(61, 2, 8));
    EXPECT_TRUE(more.dgain().empty());
    EXPECT_TRUE(more.dsink().empty());
    EXPECT_EQ(numbers_of(more.out()), numbers_of(little.out()));
  });
}

}  // namespace
}  // namespace annulus::test
