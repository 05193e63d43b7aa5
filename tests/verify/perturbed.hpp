#pragma once
// The reference, except that one element of one output is off; and a backend without statistics.

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/kernels/reference.hpp"

namespace annulus::test {

/// What happens to an output, by name.
struct Perturbation {
  std::string output;
  Index element = 0;  ///< row-major
  /// What of the largest element is added to it; or, if 0, all elements become 0.
  double tenths = 0;
};

/// Where all elements are off.
[[nodiscard]] inline double factor_of(const Perturbation& perturbation) {
  return perturbation.tenths == 0 ? 0 : 1 + perturbation.tenths / 10;
}

template <class T>
void perturb(const Perturbation& perturbation, std::span<T> values) {
  if (perturbation.tenths == 0) {
    std::ranges::fill(values, T{0});
    return;
  }
  T largest = 0;
  for (const T value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  auto& element = values[static_cast<std::size_t>(perturbation.element) % values.size()];
  element += static_cast<T>(perturbation.tenths / 10) * largest;
}

/// Of a dense tensor.
inline void perturb(const Perturbation& perturbation, TensorView view) {
  with_accumulator(view.type, [&]<class T>() {
    perturb(perturbation, std::span(static_cast<T*>(view.data),
                                    static_cast<std::size_t>(view.rows * view.heads * view.dim)));
  });
}

class PerturbedForward final : public kernels::ForwardPass {
 public:
  PerturbedForward(std::unique_ptr<kernels::ForwardPass> pass, const Perturbation& perturbation)
      : pass_(std::move(pass)), perturbation_(perturbation) {}

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const kernels::Poll& poll) override {
    pass_->accumulate(k, v, blocks, poll);
  }
  void finish(const ForwardOutputs& outputs) override {
    pass_->finish(outputs);
    if (perturbation_.output == "out") perturb(perturbation_, outputs.out);
    if (perturbation_.output == "lse") perturb(perturbation_, outputs.lse);
    for (std::size_t s = 0; s < outputs.statistics.views.size(); ++s) {
      if (perturbation_.output == row_statistics()[s].name) {
        perturb(perturbation_, outputs.statistics.views[s]);
      }
    }
  }
  /// The values of a state are what becomes `out`, all of them alike.
  void write_state(TensorView state) const override {
    pass_->write_state(state);
    if (perturbation_.output != "out") return;
    with_accumulator(state.type, [&]<class T>() {
      for (Index i = 0; i < state.rows; ++i) {
        for (Index h = 0; h < state.heads; ++h) {
          T* row = state.row<T>(i, h);
          for (Index c = state_width(0); c < state.dim; ++c) row[c] *= T(factor_of(perturbation_));
        }
      }
    });
  }

  void merge(ConstTensorView state, Index first_head) override { pass_->merge(state, first_head); }

 private:
  std::unique_ptr<kernels::ForwardPass> pass_;
  const Perturbation& perturbation_;
};

class PerturbedBackward final : public kernels::BackwardPass {
 public:
  PerturbedBackward(std::unique_ptr<kernels::BackwardPass> pass, const Perturbation& perturbation)
      : pass_(std::move(pass)), perturbation_(perturbation) {}

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const kernels::Poll& poll) override {
    pass_->accumulate(k, v, blocks, dk, dv, poll);
    if (perturbation_.output == "dk") perturb(perturbation_, dk);
    if (perturbation_.output == "dv") perturb(perturbation_, dv);
  }
  void write_mean(TensorView mean) const override { pass_->write_mean(mean); }
  void finish(TensorView dq, TensorView dscale) override {
    pass_->finish(dq, dscale);
    if (perturbation_.output == "dq") perturb(perturbation_, dq);
    if (perturbation_.output != "dgain" || !dscale.present()) return;
    with_accumulator(dscale.type, [&]<class T>() {
      for (Index i = 0; i < dscale.rows; ++i) {
        for (Index h = 0; h < dscale.heads; ++h)
          *dscale.row<T>(i, h) *= T(factor_of(perturbation_));
      }
    });
  }

 private:
  std::unique_ptr<kernels::BackwardPass> pass_;
  const Perturbation& perturbation_;
};

/// The CPU's, but refuses statistics, as libraries do that keep none.
class WithoutStatistics final : public kernels::Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "without statistics"; }
  [[nodiscard]] bool keeps_statistics() const override { return false; }
  [[nodiscard]] bool supports(DataType type) const override {
    return kernels::cpu().supports(type);
  }
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> forward(
      const kernels::Queries& queries, const kernels::PassOptions& options) const override {
    if (options.statistics) throw InputError("--statistics: none are kept");
    return kernels::cpu().forward(queries, options);
  }
  [[nodiscard]] std::unique_ptr<kernels::BackwardPass> backward(
      const kernels::BackwardQueries& queries, const kernels::PassOptions& options) const override {
    return kernels::cpu().backward(queries, options);
  }
};

/// One rank calls accumulate once, so that what it has then is the whole.
class PerturbedKernel final : public kernels::Kernel {
 public:
  PerturbedKernel(const kernels::Kernel& kernel, Perturbation perturbation)
      : kernel_(kernel), perturbation_(std::move(perturbation)) {}

  [[nodiscard]] std::string_view name() const override { return "perturbed"; }
  [[nodiscard]] bool supports(DataType type) const override { return kernel_.supports(type); }
  [[nodiscard]] DataType factor_type(DataType type) const override {
    return kernel_.factor_type(type);
  }
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> forward(
      const kernels::Queries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<PerturbedForward>(kernel_.forward(queries, options), perturbation_);
  }
  [[nodiscard]] std::unique_ptr<kernels::BackwardPass> backward(
      const kernels::BackwardQueries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<PerturbedBackward>(kernel_.backward(queries, options), perturbation_);
  }

 private:
  const kernels::Kernel& kernel_;
  Perturbation perturbation_;
};

}  // namespace annulus::test
