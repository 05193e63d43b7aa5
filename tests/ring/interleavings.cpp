// Ranks that are late at random: what they compute does not depend on who is where when.
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "annulus/kernels/cpu.hpp"
#include "support/gradients.hpp"
#include "support/schedules.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

/// Waits up to a fifth of a millisecond; every thread in its own way.
void hesitate() {
  thread_local std::minstd_rand random{
      static_cast<unsigned>(std::hash<std::thread::id>{}(std::this_thread::get_id()))};
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
}

class HesitantForward final : public kernels::ForwardPass {
 public:
  explicit HesitantForward(std::unique_ptr<kernels::ForwardPass> pass) : pass_(std::move(pass)) {}

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const kernels::Poll& poll) override {
    hesitate();
    pass_->accumulate(k, v, blocks, poll);
  }
  void finish(const ForwardOutputs& outputs) override { pass_->finish(outputs); }
  void write_state(TensorView state) const override {
    hesitate();
    pass_->write_state(state);
  }
  void merge(ConstTensorView state, Index first_head) override { pass_->merge(state, first_head); }

 private:
  std::unique_ptr<kernels::ForwardPass> pass_;
};

class HesitantBackward final : public kernels::BackwardPass {
 public:
  explicit HesitantBackward(std::unique_ptr<kernels::BackwardPass> pass) : pass_(std::move(pass)) {}

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const kernels::Poll& poll) override {
    hesitate();
    pass_->accumulate(k, v, blocks, dk, dv, poll);
  }
  void write_mean(TensorView mean) const override { pass_->write_mean(mean); }
  void finish(TensorView dq, TensorView dscale) override {
    hesitate();
    pass_->finish(dq, dscale);
  }

 private:
  std::unique_ptr<kernels::BackwardPass> pass_;
};

class HesitantKernel final : public kernels::Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "hesitant"; }
  [[nodiscard]] bool supports(DataType type) const override {
    return kernels::cpu().supports(type);
  }
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> forward(
      const kernels::Queries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<HesitantForward>(kernels::cpu().forward(queries, options));
  }
  [[nodiscard]] std::unique_ptr<kernels::BackwardPass> backward(
      const kernels::BackwardQueries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<HesitantBackward>(kernels::cpu().backward(queries, options));
  }
};

TEST(Interleavings, ResultsAreTheSameToTheBit) {
  const HesitantKernel hesitant;
  const auto whole = random_problem<float>({.query_heads = 4,
                                            .key_heads = 2,
                                            .head_dim = 6,
                                            .documents = Documents::packed({0, 41, 101}),
                                            .mask = Mask::causal()},
                                           31);
  const auto dout = random_dout<float>(whole.problem);
  for (const int ranks : {3, 4, 6, 8, 12}) {
    auto schedules = schedules_for(ranks, whole.problem.query_heads);
    schedules.push_back(annulus::Schedule::ring);
    schedules.push_back(annulus::Schedule::node_ring);
    for (const auto& schedule : schedules) {
      const auto spread = Spread(Sharding::zigzag).by(schedule);
      SCOPED_TRACE(spread.text() + ", P = " + std::to_string(ranks));
      const auto calm = attend_by_ranks(whole, ranks, spread, kernels::cpu());
      const auto late = attend_by_ranks(whole, ranks, spread, hesitant);
      EXPECT_EQ(late.out.values, calm.out.values);
      EXPECT_EQ(late.lse.values, calm.lse.values);
      const auto gradients = gradients_by_ranks(whole, dout, ranks, spread, kernels::cpu(), true);
      const auto of_late = gradients_by_ranks(whole, dout, ranks, spread, hesitant, true);
      EXPECT_EQ(of_late.dq.values, gradients.dq.values);
      EXPECT_EQ(of_late.dk.values, gradients.dk.values);
      EXPECT_EQ(of_late.dv.values, gradients.dv.values);
    }
  }
}

}  // namespace
}  // namespace annulus::test
