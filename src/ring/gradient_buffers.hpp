#pragma once
// Gradients of keys and values on their way home.

#include <cstddef>
#include <span>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/buffer_pool.hpp"

namespace annulus::ring {

/// Gradients of the keys and values of one shard, in the accumulator type.
struct KeyValueGradients {
  TensorView dk;  ///< (rows, G, d)
  TensorView dv;  ///< (rows, G, d_v)
};

/// A rank's sums for its own shard and for the one that it holds, and two packed buffers that take
/// turns: one that leaves and one that arrives.
class GradientBuffers {
 public:
  /// Borrows `own`, where the gradients of the rank's own shard are summed; sets it to zero. Takes
  /// buffers from `pool` and gives them back.
  GradientBuffers(const Plan& plan, int rank, const KeyValueGradients& own, BufferPool& pool);
  GradientBuffers(const GradientBuffers&) = delete;
  GradientBuffers& operator=(const GradientBuffers&) = delete;
  ~GradientBuffers();

  /// Where to add gradients of the shard of `owner`: the rank's own or the one held.
  [[nodiscard]] KeyValueGradients sums(int owner);
  /// Holds the shard of `owner`, with gradients of zero. What was held until now leaves next.
  void hold(int owner);
  /// The gradients of `owner`, which was held before, as bytes to send.
  [[nodiscard]] std::span<const std::byte> leaving(int owner) const;
  /// Where gradients of `owner` are to arrive.
  [[nodiscard]] std::span<std::byte> arrival(int owner);
  /// Adds what has arrived to the sums of `owner`.
  void arrived(int owner);

 private:
  [[nodiscard]] std::size_t bytes(int owner) const;
  [[nodiscard]] KeyValueGradients unpacked(std::byte* data, int owner) const;

  const Plan& plan_;
  int rank_;
  DataType type_;
  KeyValueGradients own_;
  BufferPool& pool_;
  Buffer held_;
  Buffer leaving_;
  Buffer arriving_;
  int held_owner_ = -1;
  int leaving_owner_ = -1;
};

}  // namespace annulus::ring
