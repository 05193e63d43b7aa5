#pragma once
// Attention of pairs and its gradients without a library: on a model device, from the definition.

#include <string>
#include <utility>

#include "annulus/base/index.hpp"
#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::test {

/// Computes in fp64 when the stream, of a model device, comes to it, and rounds to the type of the
/// inputs what cuDNN does: weights, gradients of logits, and every output but lse; with fewer key
/// heads than query heads the gradients of keys and values of each query head, and then their sums.
/// What cuDNN refuses is an error. Rows beyond the pair are neither read nor written.
class ModelPairs final : public kernels::gpu::PairLibrary {
 public:
  /// With a `problem`, one that cannot be used.
  explicit ModelPairs(std::string problem = {}) : problem_(std::move(problem)) {}

  [[nodiscard]] std::string problem() const override { return problem_; }
  [[nodiscard]] std::unique_ptr<kernels::gpu::PairAttention> open(
      const std::shared_ptr<device::Stream>& stream) const override;

 private:
  std::string problem_;
};

/// The same at once, of a pair in memory of the host.
void attend_by_definition(const kernels::gpu::Pair& pair, const kernels::gpu::PairOutputs& outputs);
void differentiate_by_definition(const kernels::gpu::Pair& pair,
                                 const kernels::gpu::PairGradients& gradients);

}  // namespace annulus::test
