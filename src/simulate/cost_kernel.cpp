#include "simulate/cost_kernel.hpp"

#include "plan/step_seconds.hpp"

namespace annulus::simulate {
namespace {

/// What one pass costs. The queries are paid for when it begins.
class Cost {
 public:
  Cost(const KernelCost& cost, const Spend& spend, ConstTensorView q)
      : cost_(cost), spend_(spend), heads_(q.heads) {
    merge(q);
  }

  void accumulate(ConstTensorView k, std::span<const Block> blocks) const {
    spend_(accumulate_seconds(cost_, blocks, heads_, k.heads));
  }
  /// Of rows that come from or go to others.
  void merge(ConstTensorView rows) const { spend_(query_seconds(cost_, rows.rows, rows.heads)); }

 private:
  KernelCost cost_;
  const Spend& spend_;
  Index heads_;
};

class CostForward final : public kernels::ForwardPass {
 public:
  explicit CostForward(const Cost& cost) : cost_(cost) {}

  void accumulate(ConstTensorView k, ConstTensorView /*v*/, std::span<const Block> blocks,
                  const kernels::Poll& /*poll*/) override {
    cost_.accumulate(k, blocks);
  }
  void finish(const ForwardOutputs& /*outputs*/) override {}
  void write_state(TensorView /*state*/) const override {}
  void merge(ConstTensorView state, Index /*first_head*/) override { cost_.merge(state); }

 private:
  Cost cost_;
};

class CostBackward final : public kernels::BackwardPass {
 public:
  explicit CostBackward(const Cost& cost) : cost_(cost) {}

  void accumulate(ConstTensorView k, ConstTensorView /*v*/, std::span<const Block> blocks,
                  TensorView /*dk*/, TensorView /*dv*/, const kernels::Poll& /*poll*/) override {
    cost_.accumulate(k, blocks);
  }
  void accumulate_first(ConstTensorView k, ConstTensorView /*v*/, std::span<const Block> blocks,
                        TensorView /*dk*/, TensorView /*dv*/,
                        const kernels::Poll& /*poll*/) override {
    cost_.accumulate(k, blocks);
  }
  void add(TensorView /*sums*/, double /*factor*/, ConstTensorView /*more*/) const override {}
  void write_mean(TensorView /*mean*/) const override {}
  void finish(TensorView /*dq*/, TensorView /*dscale*/) override {}

 private:
  Cost cost_;
};

}  // namespace

std::unique_ptr<kernels::ForwardPass> CostKernel::forward(
    const kernels::Queries& queries, const kernels::PassOptions& /*options*/) const {
  return std::make_unique<CostForward>(Cost(costs_.forward, spend_, queries.q));
}

std::unique_ptr<kernels::BackwardPass> CostKernel::backward(
    const kernels::BackwardQueries& queries, const kernels::PassOptions& /*options*/) const {
  return std::make_unique<CostBackward>(Cost(costs_.backward, spend_, queries.q));
}

}  // namespace annulus::simulate
