#pragma once
// The engine: executes a plan with a kernel over a communicator.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/device/buffer.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/pass_trace.hpp"

namespace annulus {

namespace ring {
class PassPrograms;
class RowBetas;
}  // namespace ring

/// Keys and values as they travel.
struct HeldItem {
  Item item;
  device::Buffer packed;
};

/// What a forward pass leaves to its backward pass: the keys and values that its program keeps,
/// which are then not fetched again, with a ring at most two shards of memory; and what rounding
/// took from lse, without which probabilities are only as exact as lse: they lose |lse| roundings.
struct HeldShards {
  std::vector<HeldItem> items{};
  device::DeviceTensor lse_low{};  ///< (rows, H, 1), accumulator type, on the device
  bool present = false;            ///< whether a forward pass has filled this in
};

/// Optional inputs and outputs of a forward pass: all ranks want statistics or none does, and
/// gains are the same on all. `rows` are the rank's query rows, in the order of its shard.
struct ForwardOptions {
  TensorView lse{};                       ///< (rows, H, 1), natural log, accumulator type
  StatisticsView statistics{};            ///< (rows, H, 1) each, accumulator type
  std::span<const double> gain{};         ///< (H): multiplies the logits of a head; empty: 1
  std::span<const double> sink{};         ///< (H): logits of the sinks; empty: no sinks
  std::span<const double> logit_scale{};  ///< (rows, H): beta of the `table` policy
  HeldShards* held{};                     ///< filled in for a backward pass; null: not kept
  kernels::Poll poll{};                   ///< called now and then; what it throws ends the pass
};

/// What a backward pass is given: the inputs and outputs of its forward pass, and the gradients of
/// these.
/// `rows` and `keys` are those of the rank, as in RingAttention::forward.
struct BackwardInputs {
  ConstTensorView q;               ///< (rows, H, d), in the plan's type
  ConstTensorView k;               ///< (keys, G, d), in the plan's type
  ConstTensorView v;               ///< (keys, G, d_v), in the plan's type
  ConstTensorView out;             ///< (rows, H, d_v), accumulator type
  ConstTensorView lse;             ///< (rows, H, 1), accumulator type
  ConstTensorView dout;            ///< (rows, H, d_v), in the plan's type
  ConstTensorView dlse{};          ///< (rows, H, 1), accumulator type: d loss / d lse; or absent: 0
  std::span<const double> gain{};  ///< as in ForwardOptions, likewise below
  std::span<const double> sink{};
  std::span<const double> logit_scale{};
  HeldShards held{};  ///< of the forward pass; where it is not present, shards are fetched again,
                      ///< and lse is taken as exact
  kernels::Poll poll{};  ///< as in ForwardOptions
};

/// What a backward pass writes, all of it in the accumulator type.
struct Gradients {
  TensorView dq;              ///< (rows, H, d)
  TensorView dk;              ///< (keys, G, d)
  TensorView dv;              ///< (keys, G, d_v)
  std::span<double> dgain{};  ///< (H), summed over all ranks; empty: not wanted
  std::span<double> dsink{};  ///< (H), likewise
};

/// What the last pass of a rank did.
struct PassReport {
  double seconds = 0;          ///< wall time of the pass
  double exposed_seconds = 0;  ///< of it, waiting for transfers with nothing to compute
  Index bytes_sent = 0;
};

/// Throws InputError where a kernel does not execute a plan: it does not compute with the plan's
/// type or shape, ranks read each other's memory, which those of a GPU do not, or queries travel
/// and the kernel does not merge states.
void check_plan(const Plan& plan, const kernels::Kernel& kernel);

/// Exact attention over a sequence that is spread over the ranks of a communicator. Tensors may lie
/// in memory of the host or of the device that computes; on a GPU, those of the host are copied
/// there and back. Passes return when their results are there.
class RingAttention {
 public:
  /// Borrows `communicator` and `kernel`, which computes on the CPU with `threads` per rank, at
  /// least 1, or on the GPU of the rank's place on its node. Throws InputError where the plan is
  /// for another number of ranks or there is no GPU, and as check_plan does.
  RingAttention(Plan plan, comm::Communicator& communicator, const kernels::Kernel& kernel,
                int threads = 1);
  /// The same on a stream of the caller's, of a device of the kernel's kind.
  RingAttention(Plan plan, comm::Communicator& communicator, const kernels::Kernel& kernel,
                std::shared_ptr<device::Stream> stream, int threads = 1);
  /// The fastest kernel of `device`, with an even share of the node's cores as threads.
  RingAttention(const Plan& plan, comm::Communicator& communicator, Device device);

  /// Collective. q (rows, H, d), k (keys, G, d), v (keys, G, d_v) hold the rank's rows in the
  /// plan's type, out (rows, H, d_v) its accumulator type. A query that sees no key gets out = 0
  /// and lse = -inf (or its sink). Throws Error where shapes or types do not fit the plan, and
  /// whatever the communicator throws.
  PassReport forward(ConstTensorView q, ConstTensorView k, ConstTensorView v, TensorView out,
                     const ForwardOptions& options = {});

  /// Collective. The gradients of Sum <dout, out> + Sum dlse lse over all ranks; all of them have
  /// dlse, or none. In a ring, keys and values go
  /// backwards, from where the forward pass left them, and their gradients come home with them; by
  /// other schedules they are fetched again. Throws as forward does.
  PassReport backward(BackwardInputs inputs, const Gradients& gradients);

  /// From now on passes add what they did when to `traces`, which is borrowed; null: no more. It
  /// costs two looks at the clock for everything that is added.
  void trace(std::vector<PassTrace>* traces) { traces_ = traces; }

  [[nodiscard]] const Plan& plan() const { return plan_; }

 private:
  Plan plan_;
  comm::Communicator& communicator_;
  const kernels::Kernel& kernel_;
  std::shared_ptr<device::Stream> stream_;
  int threads_;
  // Kept from pass to pass: what travels, what kernels compute in and what they keep, and what
  // follows from the plan.
  std::shared_ptr<device::BufferPool> buffers_;
  std::shared_ptr<device::BufferPool> kernel_memory_;
  std::shared_ptr<kernels::Kept> kernel_kept_;
  std::shared_ptr<ring::PassPrograms> programs_;
  std::shared_ptr<ring::RowBetas> betas_;
  std::vector<PassTrace>* traces_ = nullptr;
};

}  // namespace annulus
