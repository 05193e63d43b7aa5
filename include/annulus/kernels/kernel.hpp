#pragma once
// What a backend offers: accumulate blocks of keys into the state of local queries, then finish.
//
// Tensors lie in memory of the device that the backend computes on, spans in memory of the host. On
// a GPU, passes enqueue work on the stream that they were given and return; whoever reads what they
// write waits for the stream, and tensors stay as they are until it has come so far.

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer_pool.hpp"
#include "annulus/kernels/logit_scales.hpp"
#include "annulus/plan/block.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::kernels {

/// Called between tiles, by the calling thread alone, so that transfers make progress while a
/// kernel computes. It may be empty.
using Poll = std::function<void()>;

/// The queries of one rank. All of it is borrowed and must outlive the pass.
struct Queries {
  ConstTensorView q;             ///< (rows, H, d)
  LogitScales scale;             ///< of all rows and heads
  std::span<const double> sink;  ///< (H): one more key with this logit and value 0; or empty
};

/// What passes of a plan leave for the next ones beside memory, such as tables on a device. Only
/// the backend that made it knows what it is. Used by one thread at a time.
class Kept {
 public:
  Kept() = default;
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  virtual ~Kept() = default;
};

/// Shapes and options that a kernel may prepare for.
struct PassOptions {
  Index key_heads = 1;
  Index value_dim = 1;
  bool statistics = false;
  bool for_backward = false;  ///< a backward pass follows: logits have the bits that it makes again
  int threads = 1;            ///< the most threads of the host to compute with, at least 1
  std::shared_ptr<device::Stream> stream = device::cpu_stream();  ///< of the backend's device
  std::shared_ptr<device::BufferPool> memory{};  ///< where passes on a CPU leave what they computed
                                                 ///< in for the next one; null: nowhere
  std::shared_ptr<Kept> kept{};  ///< of Kernel::keep, for the blocks of one plan; or null
};

/// The softmax state of one rank's queries, kept from the first block to the last; fp32 sums of
/// some keys add up in more digits, so that errors do not grow with the length. Head h of the
/// queries reads head h / (H / G) of the keys.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  /// Accumulates every visible pair of `blocks`, whose rows index `k` (keys, G, d) and
  /// `v` (keys, G, d_v). Throws whatever `poll` throws.
  virtual void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                          const Poll& poll) = 0;

  /// Writes what follows from the state, in the accumulator type; see write_row.
  virtual void finish(const ForwardOutputs& outputs) = 0;

  /// accumulate() of the last blocks and finish(), of which nothing is called after it: a backend
  /// may write a row as soon as it has met all its keys, while its state is in the caches.
  virtual void accumulate_last(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                               const Poll& poll, const ForwardOutputs& outputs) {
    accumulate(k, v, blocks, poll);
    finish(outputs);
  }

  /// Writes the state itself, to be merged with that of other keys: (rows, H, state_width(d_v)) in
  /// the accumulator type; see store_state.
  virtual void write_state(TensorView state) const = 0;

  /// Merges a state that a pass over other keys has written into that of the same rows and of heads
  /// first_head, first_head + 1, ...: (rows, some heads, state_width(d_v)) in the accumulator type,
  /// with statistics where this pass keeps them. What follows is what one pass over all these keys
  /// gives, so one of the two has the sinks.
  virtual void merge(ConstTensorView state, Index first_head) = 0;
};

/// What a backward pass is given of the queries of one rank. Borrowed; must outlive the pass.
struct BackwardQueries {
  ConstTensorView q;          ///< (rows, H, d)
  LogitScales scale;          ///< as in the forward pass
  ConstTensorView dout;       ///< (rows, H, d_v), in the type of q: d loss / d out
  ConstTensorView lse;        ///< (rows, H, 1), accumulator type: what the forward pass wrote
  ConstTensorView out{};      ///< (rows, H, d_v), likewise; or absent where there is `mean`
  ConstTensorView lse_low{};  ///< (rows, H, 1), likewise; or absent: 0
  ConstTensorView mean{};     ///< (rows, H, 1), accumulator type: <dout, out>, in place of `out`
};

/// The gradients of one rank's queries, kept from the first block to the last, which add up as the
/// state does: with p = e^(z - lse - lse_low), mean = <dout, out> and dz = p (<dout, v> - mean), dq
/// = scale Sum_j dz k_j, dk_j = Sum scale dz q, dv_j = Sum p dout.
class BackwardPass {
 public:
  virtual ~BackwardPass() = default;

  /// Adds what every visible pair of `blocks` gives to the gradients of the queries, to
  /// `dk` (keys, G, d) and to `dv` (keys, G, d_v), both in the accumulator type and rounded to it
  /// once a call, or once a part of a block where partial_type() has fewer digits. Shapes as in
  /// ForwardPass::accumulate. Throws whatever `poll` throws.
  virtual void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                          TensorView dk, TensorView dv, const Poll& poll) = 0;

  /// accumulate() to a `dk` and a `dv` of zeros, whatever they hold: a backend may write what it
  /// would else add.
  virtual void accumulate_first(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                                TensorView dk, TensorView dv, const Poll& poll);

  /// sums += factor * more, of one shape, in the accumulator type: gradients of keys or values that
  /// others have summed, or what is taken from the means.
  virtual void add(TensorView sums, double factor, ConstTensorView more) const;

  /// Writes <dout, out>, (rows, H, 1) in the accumulator type: with it in place of `out`, other
  /// ranks compute with these queries, and gradients of sinks follow from it.
  virtual void write_mean(TensorView mean) const = 0;

  /// Writes dq (rows, H, d) and, where `dscale` is there, the gradients of the scales,
  /// <q, Sum_j dz k_j>, (rows, H, 1), both in the accumulator type.
  virtual void finish(TensorView dq, TensorView dscale) = 0;
};

/// Whether ranks that compute on such devices read each other's keys where these are.
[[nodiscard]] constexpr PeerMemory peer_memory_of(DeviceKind device) {
  return device == DeviceKind::cpu ? PeerMemory::shared : PeerMemory::separate;
}

/// A backend: begins passes, which compute on streams of its kind of device, and says which types
/// and plans it honours and how it rounds.
class Kernel {
 public:
  virtual ~Kernel() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;

  /// What it computes on.
  [[nodiscard]] virtual DeviceKind device() const { return DeviceKind::cpu; }

  /// A stream of such a device: on GPUs, of that of the rank with this place on its node, several
  /// ranks on one GPU where there are fewer of them. Throws InputError where there is none.
  [[nodiscard]] virtual std::shared_ptr<device::Stream> open_stream(int /*place_on_node*/) const {
    return device::cpu_stream();
  }

  /// What passes on this stream may keep, nothing yet; null where the backend keeps nothing.
  [[nodiscard]] virtual std::shared_ptr<Kept> keep(
      const std::shared_ptr<device::Stream>& /*stream*/) const {
    return nullptr;
  }

  /// Whether the backend computes with inputs of this type.
  [[nodiscard]] virtual bool supports(DataType type) const = 0;

  /// Throws InputError where the backend cannot honour a plan of a type that it supports: the same
  /// on every rank, before anything is computed.
  virtual void check(const Plan& /*plan*/) const {}

  /// Whether it has backward passes.
  [[nodiscard]] virtual bool has_backward() const { return true; }

  /// Whether its backward passes take means that are not <dout, out>, as those are from which
  /// gradients of lse have been taken.
  [[nodiscard]] virtual bool takes_gradients_of_lse() const { return true; }

  /// Whether its forward passes keep what statistics are made of.
  [[nodiscard]] virtual bool keeps_statistics() const { return true; }

  /// Whether the states of its forward passes are written and merged.
  [[nodiscard]] virtual bool merges_states() const { return true; }

  /// The type that weights are rounded to where they multiply values, for inputs of `type`; sums
  /// are of the accumulator type all the same.
  [[nodiscard]] virtual DataType factor_type(DataType type) const { return accumulator_of(type); }

  /// The type that outputs over some of the keys are rounded to before they are merged, and
  /// gradients over some of the keys or queries before they are added.
  [[nodiscard]] virtual DataType partial_type(DataType type) const { return accumulator_of(type); }

  /// Terms of a sum that are added one after the other in the accumulator type, at most: longer
  /// sums are made of parts, which add up in more digits.
  [[nodiscard]] virtual Index longest_sum(DataType /*type*/) const {
    return std::numeric_limits<Index>::max();
  }

  /// Starts a pass with the identity state, or with the sinks where there are any. Throws
  /// InputError where the backend cannot honour the type.
  [[nodiscard]] virtual std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                             const PassOptions& options) const = 0;

  /// Starts a backward pass with gradients of zero; `options.statistics` does not matter. Throws
  /// InputError where the backend cannot honour the type.
  [[nodiscard]] virtual std::unique_ptr<BackwardPass> backward(
      const BackwardQueries& queries, const PassOptions& options) const = 0;
};

}  // namespace annulus::kernels
