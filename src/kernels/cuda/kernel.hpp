#pragma once
// A backend made of the kernels for GPUs and a launcher that starts them.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/kept_tiles.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

class GpuKernel final : public Kernel {
 public:
  /// Borrows `launcher`. The path: where choose_kernel() has it.
  explicit GpuKernel(const Launcher& launcher, const KernelWish& wish = {})
      : launcher_(launcher), wish_(wish) {}

  [[nodiscard]] std::string_view name() const override { return "cuda"; }
  [[nodiscard]] DeviceKind device() const override { return DeviceKind::cuda; }
  [[nodiscard]] std::shared_ptr<device::Stream> open_stream(int place_on_node) const override {
    return launcher_.open_stream(place_on_node);
  }
  [[nodiscard]] std::shared_ptr<Kept> keep(
      const std::shared_ptr<device::Stream>& stream) const override {
    return std::make_shared<KeptTiles>(launcher_, stream);
  }
  [[nodiscard]] bool supports(DataType type) const override { return type != DataType::float64; }
  void check(const Plan& plan) const override {
    const auto& problem = plan.problem();
    static_cast<void>(
        choose_kernel(plan.data_type(), problem.head_dim, problem.output_dim(), wish_.path));
  }
  [[nodiscard]] DataType factor_type(DataType type) const override { return type; }
  [[nodiscard]] Index longest_sum(DataType type) const override {
    return panel_rows(static_cast<int>(size_of(type)));
  }
  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override;
  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override;

 private:
  const Launcher& launcher_;
  KernelWish wish_;
};

}  // namespace annulus::kernels::gpu
