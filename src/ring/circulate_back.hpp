#pragma once
// Shards on their way back around the ring, with their gradients behind them.

#include <functional>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/gradient_buffers.hpp"
#include "ring/pass_meter.hpp"
#include "ring/shard_buffers.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

/// Adds to the gradients of what the rank reads in `step`, and calls `poll` now and then.
using GradientStep =
    std::function<void(const Read& read, std::size_t step, const kernels::Poll& poll)>;

/// Collective. Executes the steps of `plan` from the last to the first, each hop against its
/// direction, starting from the shards `held` that circulate() left. While a rank computes with one
/// shard, the shard it held before comes back to it, and in an exchange of their own the gradients
/// that the next rank summed for the shard which this rank had sent there. Peers add to the
/// gradients of one shard one after the other, in the same order every time. `compute` enqueues on
/// the stream of `meter`, which this does not wait for.
void circulate_back(const Plan& plan, comm::Communicator& communicator, SharedNode& node,
                    HeldShards held, ShardBuffers& buffers, GradientBuffers& sums,
                    const GradientStep& compute, PassMeter& meter);

}  // namespace annulus::ring
