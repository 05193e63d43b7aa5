#pragma once
// The kernels for GPUs on the model of a thread block.

#include "kernels/block_model.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::test {

/// Kernels run before a call returns, on the caller's thread; device memory is memory. Adds what it
/// finds to its report.
class ModelLauncher final : public kernels::gpu::Launcher {
 public:
  explicit ModelLauncher(const Schedule& schedule) : schedule_(schedule) {}

  void start(const kernels::gpu::StartArguments& arguments,
             kernels::gpu::Stream stream) const override;
  void forward(const kernels::gpu::KernelChoice& choice,
               const kernels::gpu::ForwardArguments& arguments,
               kernels::gpu::Stream stream) const override;
  void finish(const kernels::gpu::FinishArguments& arguments,
              kernels::gpu::Stream stream) const override;
  void add_query_gradients(const kernels::gpu::KernelChoice& choice,
                           const kernels::gpu::GradientArguments& arguments,
                           kernels::gpu::Stream stream) const override;
  void add_key_gradients(const kernels::gpu::KernelChoice& choice,
                         const kernels::gpu::GradientArguments& arguments,
                         kernels::gpu::Stream stream) const override;
  void finish(const kernels::gpu::KernelChoice& choice,
              const kernels::gpu::QueryGradientArguments& arguments,
              kernels::gpu::Stream stream) const override;

  [[nodiscard]] const LaunchReport& report() const { return report_; }

 private:
  [[nodiscard]] auto launch() const;

  Schedule schedule_;
  mutable LaunchReport report_;
};

}  // namespace annulus::test
