#pragma once
// The passes of the cuda backend: they enqueue kernels and what these need.

#include "annulus/device/device_tensor.hpp"
#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/device_scales.hpp"
#include "kernels/cuda/device_states.hpp"
#include "kernels/cuda/kept_tiles.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/turn_sums.hpp"

namespace annulus::kernels::gpu {

/// The state stays in device memory from the first block to the last.
class GpuForward final : public ForwardPass {
 public:
  GpuForward(const Launcher& launcher, const KernelWish& wish, const Queries& queries,
             const PassOptions& options);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const Poll& poll) override;
  void finish(const ForwardOutputs& outputs) override;
  void write_state(TensorView state) const override;
  void merge(ConstTensorView state, Index first_head) override;

 private:
  /// A kernel, and the query heads that share a tile of it.
  struct Tiling {
    KernelChoice choice;
    int shared;
  };

  /// Where all heads of a key head fit into one tile they share it: keys are then read once for all
  /// of them.
  [[nodiscard]] Tiling tiling_for(std::span<const Block> blocks) const;

  const Launcher& launcher_;
  StreamPointer stream_;
  std::shared_ptr<KeptTiles> tiles_;
  KernelChoice choice_;
  AlignedRows q_;
  DeviceArray<float> scale_;
  int key_heads_;
  DeviceStates states_;
};

/// Sums over keys stay in device memory until the end.
class GpuBackward final : public BackwardPass {
 public:
  GpuBackward(const Launcher& launcher, const KernelWish& wish, const BackwardQueries& queries,
              const PassOptions& options);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const Poll& poll) override;
  void accumulate_first(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                        TensorView dk, TensorView dv, const Poll& poll) override;
  void add(TensorView sums, double factor, ConstTensorView more) const override;
  void write_mean(TensorView mean) const override;
  void finish(TensorView dq, TensorView dscale) override;

 private:
  [[nodiscard]] TensorView mean() const;
  void write_numbers(const BackwardQueries& queries);
  /// `first`: dk and dv are zeros, whatever they hold.
  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, bool first);
  void add_in_turns(const GradientTiles& tiles, GradientArguments arguments);

  const Launcher& launcher_;
  StreamPointer stream_;
  std::shared_ptr<KeptTiles> tiles_;
  KernelChoice choice_;
  AlignedRows q_;
  AlignedRows dout_;
  DeviceArray<float> scale_;
  float one_scale_;  // as GradientArguments has it
  int rows_;
  int heads_;
  int key_heads_;
  DeviceArray<float> mean_;
  DeviceArray<float> numbers_;  // of queries
  DeviceArray<double> sums_;
  TurnSums turn_sums_;  // what is not in them yet
};

}  // namespace annulus::kernels::gpu
