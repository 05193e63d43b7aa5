#pragma once
// What a kernel takes for pairs, rows and calls.

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/measure/link_cost.hpp"
#include "annulus/plan/machine.hpp"

namespace annulus::measure {

/// Collective. Fits the cost of passes by `kernel`, of one core, to the times of some shapes, each
/// repeated for about `seconds` on all ranks at once, on `threads` cores each, of which a rank has
/// the part `share`. The same on all ranks. On a GPU, the cost of one GPU.
[[nodiscard]] KernelCost measure_kernel_cost(const kernels::Kernel& kernel, DataType type,
                                             Pass pass, Index head_dim,
                                             comm::Communicator& communicator, int threads,
                                             double share, double seconds);

/// Computes for about a millisecond with a kernel of the device of `stream`, on one thread.
[[nodiscard]] Work work_of(const kernels::Kernel& kernel, DataType type,
                           const std::shared_ptr<device::Stream>& stream);

}  // namespace annulus::measure
