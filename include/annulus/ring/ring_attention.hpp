#pragma once
// The engine: executes a plan with a kernel over a communicator.

#include <span>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Optional inputs and outputs of a forward pass. `rows` are the rank's query rows, in the order
/// of its shard.
struct ForwardOptions {
  TensorView lse{};                       ///< (rows, H, 1), natural log, accumulator type
  StatisticsView statistics{};            ///< (rows, H, 1) each, accumulator type
  std::span<const double> gain{};         ///< (H): multiplies the logits of a head; empty: 1
  std::span<const double> sink{};         ///< (H): logits of the sinks; empty: no sinks
  std::span<const double> logit_scale{};  ///< (rows, H): beta of the `table` policy
};

/// What the last pass of a rank did.
struct PassReport {
  double seconds = 0;          ///< wall time of the pass
  double exposed_seconds = 0;  ///< of it, waiting for transfers with nothing to compute
  Index bytes_sent = 0;
};

/// Exact attention over a sequence that is spread over the ranks of a communicator.
class RingAttention {
 public:
  /// Borrows `communicator` and `kernel`. Throws InputError where the plan is for another number of
  /// ranks or the kernel does not compute with the plan's type. `threads` per rank, at least 1.
  RingAttention(Plan plan, comm::Communicator& communicator, const kernels::Kernel& kernel,
                int threads = 1);
  /// The fastest kernel of `device`, with an even share of the node's cores as threads.
  RingAttention(const Plan& plan, comm::Communicator& communicator, Device device);

  /// Collective. q (rows, H, d), k (keys, G, d), v (keys, G, d_v) hold the rank's rows in the
  /// plan's type, out (rows, H, d_v) its accumulator type. A query that sees no key gets out = 0
  /// and lse = -inf (or its sink). Throws Error where shapes or types do not fit the plan, and
  /// whatever the communicator throws.
  PassReport forward(ConstTensorView q, ConstTensorView k, ConstTensorView v, TensorView out,
                     const ForwardOptions& options = {});

  [[nodiscard]] const Plan& plan() const { return plan_; }

 private:
  Plan plan_;
  comm::Communicator& communicator_;
  const kernels::Kernel& kernel_;
  int threads_;
};

}  // namespace annulus
