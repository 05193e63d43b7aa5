#pragma once
// The engine: a program, whichever it is, over a communicator.

#include <functional>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/program.hpp"
#include "ring/item_store.hpp"
#include "ring/pass_meter.hpp"
#include "ring/query_store.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

/// Computes with some keys in a step, and calls `poll` now and then.
using ComputeStep =
    std::function<void(const Compute& compute, std::size_t step, const kernels::Poll& poll)>;

/// What a program moves.
struct Stores {
  ItemStore& keys;
  QueryStore* queries;  ///< null for a program in which these stay where they are
};

/// Collective. Executes the program of this rank: while it computes, what it sends and receives is
/// under way, and whoever adds to the same gradients does so in the same order every time. Without
/// `compute`, items go where they go. `held` is what an earlier pass kept, for a program that takes
/// it up. `compute` enqueues on the stream of `meter`, which this does not wait for. Returns what
/// the program keeps, where `keep`. While it computes, it calls `interrupt` now and then, if there
/// is one; what that throws ends the pass.
std::vector<HeldItem> execute(const Program& program, comm::Communicator& communicator,
                              SharedNode& node, const Stores& stores, std::vector<HeldItem> held,
                              bool keep, const ComputeStep& compute, PassMeter& meter,
                              const kernels::Poll& interrupt = {});

}  // namespace annulus::ring
