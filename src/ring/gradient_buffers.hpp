#pragma once
// Gradients of keys and values on their way home.

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/buffer_pool.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

/// Gradients of the keys and values of one shard, in the accumulator type.
struct KeyValueGradients {
  TensorView dk;  ///< (rows, G, d)
  TensorView dv;  ///< (rows, G, d_v)
};

/// A rank's sums for its own shard, and three packed buffers in each step:
///
///     held      what kernels add to now, for the shard that the rank holds
///     leaving   what it held in the step before, on its way to its owner; takes turns with held
///     arriving  what others summed for the own shard or the one held, and is then added to it
///
/// Where peers of the node add to them, own and held are the node's memory.
class GradientBuffers {
 public:
  /// Borrows `own`, where the gradients of the rank's own shard go, and the others; sets all sums
  /// to zero. Takes buffers from `pool` and gives them back. `pass` adds what arrives.
  GradientBuffers(const Plan& plan, int rank, const KeyValueGradients& own, const SharedNode& node,
                  BufferPool& pool, const kernels::BackwardPass& pass);
  GradientBuffers(const GradientBuffers&) = delete;
  GradientBuffers& operator=(const GradientBuffers&) = delete;
  ~GradientBuffers();

  /// Where to add gradients of what the rank reads in `step`.
  [[nodiscard]] KeyValueGradients sums(const Read& read, std::size_t step);
  /// Holds the shard of `owner` in `step`, with gradients of zero. What was held until now leaves
  /// next.
  void hold(int owner, std::size_t step);
  /// The gradients of `owner`, which was held before, as bytes to send.
  [[nodiscard]] std::span<const std::byte> leaving(int owner);
  /// Where gradients of `owner` are to arrive.
  [[nodiscard]] std::span<std::byte> arrival(int owner);
  /// Adds what has arrived to the sums of `owner`, the rank itself or whose shard it holds.
  void arrived(int owner);
  /// Brings the gradients of the own shard to where they go, when all have been added.
  void finish();

 private:
  [[nodiscard]] std::size_t bytes(int owner) const;
  [[nodiscard]] KeyValueGradients unpacked(std::span<std::byte> data, int owner) const;
  [[nodiscard]] KeyValueGradients sums_of(int owner);
  /// The place of the gradients that are held, or of those that leave.
  [[nodiscard]] std::span<std::byte> at(std::size_t place, int owner);

  const Plan& plan_;
  int rank_;
  DataType type_;
  KeyValueGradients own_;
  const SharedNode& node_;
  BufferPool& pool_;
  const kernels::BackwardPass& pass_;
  std::array<Buffer, 2> places_;  // empty where the node's are used
  Buffer arriving_;
  std::size_t held_ = 0;  // the place of the gradients of the shard that is held
  int held_owner_ = -1;
  int leaving_owner_ = -1;
};

}  // namespace annulus::ring
