#pragma once
// Attention of pairs without a library: on a model device, from the definition.

#include <string>
#include <utility>

#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::test {

/// Computes in fp64 when the stream, of a model device, comes to it, and rounds `out` to the type
/// of the inputs as cuDNN does. Rows of q, k and v beyond the pair are not read.
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

}  // namespace annulus::test
