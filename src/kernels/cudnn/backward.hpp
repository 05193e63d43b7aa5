#pragma once
// The backward pass of the cudnn backend: gradients of pairs by cuDNN, added up by the kernels of
// this project.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cudnn/pair_attention.hpp"
#include "kernels/cudnn/piece_sums.hpp"
#include "kernels/cudnn/pieces.hpp"

namespace annulus::kernels::gpu {

/// cuDNN takes out, in 16 bits, for nothing but <dout, out>. It is given the vector along dout with
/// this product instead: its products with dout have one sign, so what rounding does to their sum
/// is relative to the sum, which may be much less than out and dout; and the means are enough for
/// it.
class CudnnBackward final : public BackwardPass {
 public:
  /// Throws InputError where cuDNN cannot honour the types, dimensions or scales. `mean`, where it
  /// is given, is <dout, out>: where dout is 0, so is the mean. `in_order`: see PairGradients.
  CudnnBackward(const Launcher& launcher, const PairLibrary& library, bool in_order,
                const BackwardQueries& queries, const PassOptions& options);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const Poll& poll) override;
  void accumulate_first(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                        TensorView dk, TensorView dv, const Poll& poll) override;
  void add(TensorView sums, double factor, ConstTensorView more) const override;
  void write_mean(TensorView mean) const override;
  void finish(TensorView dq, TensorView dscale) override;

 private:
  [[nodiscard]] TensorView mean() const;
  /// `k` and `v` are all rows, `dk` and `dv` what their gradients are added to.
  void accumulate(const Piece& piece, const InputRows& k, const InputRows& v, float* dk, float* dv);

  const Launcher& launcher_;
  StreamPointer stream_;
  DataType type_;
  bool in_order_;
  float scale_;
  std::unique_ptr<PairAttention> pairs_;
  AlignedRows q_;
  AlignedRows dout_;
  DenseInput lse_;
  Index rows_;
  int heads_;
  int key_heads_;
  DeviceArray<float> mean_;
  device::Buffer along_;
  PieceSums dq_;
};

}  // namespace annulus::kernels::gpu
