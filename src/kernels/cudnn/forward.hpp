#pragma once
// The forward pass of the cudnn backend: pairs by cuDNN, brought together by the kernels of this
// project.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cudnn/pair_attention.hpp"
#include "kernels/cudnn/piece_states.hpp"

namespace annulus::kernels::gpu {

class CudnnForward final : public ForwardPass {
 public:
  /// Throws InputError where cuDNN cannot honour the types, dimensions, scales or options.
  CudnnForward(const Launcher& launcher, const PairLibrary& library, const Queries& queries,
               const PassOptions& options);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const Poll& poll) override;
  void finish(const ForwardOutputs& outputs) override;
  void write_state(TensorView state) const override;
  void merge(ConstTensorView state, Index first_head) override;

 private:
  StreamPointer stream_;
  DataType type_;
  float scale_;
  std::unique_ptr<PairAttention> pairs_;
  AlignedRows q_;
  int key_heads_;
  PieceStates states_;
};

}  // namespace annulus::kernels::gpu
