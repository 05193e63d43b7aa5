#pragma once
// Shards on their way around the ring, as a plan says.

#include <functional>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/pass_meter.hpp"
#include "ring/shard_buffers.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

/// Computes with what the rank reads in `step`, and calls `poll` now and then.
using ComputeStep =
    std::function<void(const Read& read, std::size_t step, const kernels::Poll& poll)>;

/// Collective. Executes the steps of `plan` in order: starts a hop, computes with what is held here
/// and by peers, waits for the hop and for the peers. With `keep`, buffers.let_go() then gives all
/// shards that a backward pass starts from. `compute` enqueues on the stream of `meter`, which this
/// does not wait for.
void circulate(const Plan& plan, comm::Communicator& communicator, SharedNode& node,
               ShardBuffers& buffers, bool keep, const ComputeStep& compute, PassMeter& meter);

}  // namespace annulus::ring
