#pragma once
// The kernels for GPUs on the model of a thread block.

#include <atomic>

#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/launcher.hpp"
#include "support/model_device.hpp"

namespace annulus::test {

/// Of compute capability 9.0, of 8.6, and of a device on which kernels have no more than they need
/// not ask for.
inline constexpr kernels::gpu::Multiprocessors large_shared_memory{227 * 1024, 228 * 1024};
/// With as many multiprocessors as an H200.
inline constexpr kernels::gpu::Multiprocessors many_multiprocessors{227 * 1024, 228 * 1024, 132};
inline constexpr kernels::gpu::Multiprocessors small_shared_memory{99 * 1024, 100 * 1024};
inline constexpr kernels::gpu::Multiprocessors least_shared_memory{48 * 1024, 64 * 1024};

/// A kernel whose blocks wait for one another.
template <class Kernel>
concept TakesTurns = requires {
  Kernel::takes_turns;
};

/// Kernels run when the stream comes to them: on a model device as late or early as it goes, on the
/// stream of the CPU before a call returns. Adds what it finds to its report.
class ModelLauncher final : public kernels::gpu::Launcher {
 public:
  explicit ModelLauncher(const Schedule& schedule = {}, Order order = Order::early,
                         const kernels::gpu::Multiprocessors& shared_memory = large_shared_memory)
      : schedule_(schedule),
        shared_memory_(shared_memory),
        device_(std::make_shared<ModelDevice>(order)) {}

  /// All streams are of one device.
  [[nodiscard]] std::shared_ptr<device::Stream> open_stream(int place_on_node) const override;
  /// So few that small tests fill them in part only, and so many that they then need parts.
  [[nodiscard]] int blocks_at_once(const kernels::gpu::KernelChoice& /*choice*/,
                                   device::Stream& /*stream*/) const override {
    return 12;
  }
  [[nodiscard]] kernels::gpu::Multiprocessors multiprocessors(
      device::Stream& /*stream*/) const override {
    return shared_memory_;
  }
  void write(const kernels::gpu::ScaleTableArguments& arguments,
             device::Stream& stream) const override;
  void write(const kernels::gpu::QueryNumbersArguments& arguments,
             device::Stream& stream) const override;
  void start(const kernels::gpu::StartArguments& arguments, device::Stream& stream) const override;
  void forward(const kernels::gpu::KernelChoice& choice,
               const kernels::gpu::ForwardArguments& arguments,
               device::Stream& stream) const override;
  void merge(const kernels::gpu::MergeStatesArguments& arguments,
             device::Stream& stream) const override;
  void merge(const kernels::gpu::MergePartsArguments& arguments,
             device::Stream& stream) const override;
  void write(const kernels::gpu::WriteStatesArguments& arguments,
             device::Stream& stream) const override;
  void finish(const kernels::gpu::FinishArguments& arguments,
              device::Stream& stream) const override;
  void add_query_gradients(const kernels::gpu::KernelChoice& choice,
                           const kernels::gpu::GradientArguments& arguments,
                           device::Stream& stream) const override;
  void add_key_gradients(const kernels::gpu::KernelChoice& choice,
                         const kernels::gpu::GradientArguments& arguments,
                         device::Stream& stream) const override;
  void add_all_gradients(const kernels::gpu::KernelChoice& choice,
                         const kernels::gpu::GradientArguments& arguments,
                         device::Stream& stream) const override;
  void fold(const kernels::gpu::KernelChoice& choice,
            const kernels::gpu::FoldStepsArguments& arguments,
            device::Stream& stream) const override;
  void finish(const kernels::gpu::KernelChoice& choice,
              const kernels::gpu::QueryGradientArguments& arguments,
              device::Stream& stream) const override;
  void mean(const kernels::gpu::KernelChoice& choice, const kernels::gpu::MeanArguments& arguments,
            device::Stream& stream) const override;
  void add(const kernels::gpu::AddArguments& arguments, device::Stream& stream) const override;
  void merge(DataType type, const kernels::gpu::MergePieceArguments& arguments,
             device::Stream& stream) const override;
  void finish(DataType type, const kernels::gpu::FinishPieceArguments& arguments,
              device::Stream& stream) const override;
  void add(DataType type, const kernels::gpu::AddPieceArguments& arguments,
           device::Stream& stream) const override;
  void along(DataType type, const kernels::gpu::AlongArguments& arguments,
             device::Stream& stream) const override;
  void transpose(const kernels::gpu::TransposeArguments& arguments,
                 device::Stream& stream) const override;

  [[nodiscard]] const LaunchReport& report() const { return report_; }
  /// Kernels that have run, but for those of no blocks.
  [[nodiscard]] Index launches() const { return launches_; }
  /// Of these, those whose blocks wait for one another.
  [[nodiscard]] Index launches_together() const { return launches_together_; }
  /// Times that what these have summed was folded.
  [[nodiscard]] Index folds() const { return folds_; }
  [[nodiscard]] ModelDevice& device() const { return *device_; }

 private:
  /// `in_order`: whether additions of blocks to one number must have an order.
  [[nodiscard]] auto launch(device::Stream& stream, bool in_order = true) const;
  void run(const Launch& launch, const std::function<void()>& body, device::Stream& stream) const;
  // Those for compute capability 9.0, in a file of their own.
  [[nodiscard]] auto hopper_launch(device::Stream& stream, bool in_order = true) const;
  void hopper_forward(const kernels::gpu::KernelChoice& choice,
                      const kernels::gpu::ForwardArguments& arguments,
                      device::Stream& stream) const;
  void add_hopper_query_gradients(const kernels::gpu::KernelChoice& choice,
                                  const kernels::gpu::GradientArguments& arguments,
                                  device::Stream& stream) const;
  void add_hopper_key_gradients(const kernels::gpu::KernelChoice& choice,
                                const kernels::gpu::GradientArguments& arguments,
                                device::Stream& stream) const;
  void add_hopper_all_gradients(const kernels::gpu::KernelChoice& choice,
                                const kernels::gpu::GradientArguments& arguments,
                                device::Stream& stream) const;
  void hopper_fold(const kernels::gpu::KernelChoice& choice,
                   const kernels::gpu::FoldStepsArguments& arguments, device::Stream& stream) const;

  Schedule schedule_;
  kernels::gpu::Multiprocessors shared_memory_;
  std::shared_ptr<ModelDevice> device_;
  // Written by the streams of one device, which share a lock.
  mutable LaunchReport report_;
  mutable Index launches_ = 0;
  mutable Index launches_together_ = 0;
  mutable std::atomic<Index> folds_ = 0;
};

}  // namespace annulus::test
