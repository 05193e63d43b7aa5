#pragma once
// A backend made of a library that computes pairs and the launcher of the kernels that merge them.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::kernels::gpu {

class CudnnKernel final : public Kernel {
 public:
  /// Borrows launcher and library. `in_order`: whether gradients have the same bits every time.
  CudnnKernel(const Launcher& launcher, const PairLibrary& library, bool in_order = true)
      : launcher_(launcher), library_(library), in_order_(in_order) {}

  [[nodiscard]] std::string_view name() const override { return "cudnn"; }
  [[nodiscard]] DeviceKind device() const override { return DeviceKind::cuda; }
  /// Throws InputError where the library cannot be used.
  [[nodiscard]] std::shared_ptr<device::Stream> open_stream(int place_on_node) const override;
  [[nodiscard]] bool supports(DataType type) const override {
    return type == DataType::bfloat16 || type == DataType::float16;
  }
  void check(const Plan& plan) const override;
  [[nodiscard]] bool takes_gradients_of_lse() const override { return false; }
  [[nodiscard]] bool keeps_statistics() const override { return false; }
  [[nodiscard]] bool merges_states() const override { return false; }
  [[nodiscard]] DataType factor_type(DataType type) const override { return type; }
  [[nodiscard]] DataType partial_type(DataType type) const override { return type; }
  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override;
  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override;

 private:
  /// Throws InputError where the library cannot be used.
  void check_library() const;

  const Launcher& launcher_;
  const PairLibrary& library_;
  bool in_order_;
};

}  // namespace annulus::kernels::gpu
