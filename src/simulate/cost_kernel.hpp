#pragma once
// A kernel that takes time and does nothing else.

#include <functional>
#include <memory>
#include <utility>

#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/machine.hpp"

namespace annulus::simulate {

/// Of both passes, for the type and shapes that are simulated.
struct PassCosts {
  KernelCost forward;
  KernelCost backward;
};

/// What a rank does with the seconds of a call: it lets simulated time pass.
using Spend = std::function<void(double seconds)>;

/// Passes of every type and plan, which touch no element of any tensor and take what KernelCost
/// says of one core. They poll nothing: a simulated network moves data by itself.
class CostKernel final : public kernels::Kernel {
 public:
  CostKernel(const PassCosts& costs, Spend spend) : costs_(costs), spend_(std::move(spend)) {}

  [[nodiscard]] std::string_view name() const override { return "cost"; }
  [[nodiscard]] bool supports(DataType) const override { return true; }
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> forward(
      const kernels::Queries& queries, const kernels::PassOptions& options) const override;
  [[nodiscard]] std::unique_ptr<kernels::BackwardPass> backward(
      const kernels::BackwardQueries& queries, const kernels::PassOptions& options) const override;

 private:
  PassCosts costs_;
  Spend spend_;
};

}  // namespace annulus::simulate
