#pragma once
// What a rank needs to hold.

#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Bytes of one rank while a pass runs. A kernel's tiles come on top: some MiB a thread, in a
/// backward pass some 12, whatever the length.
struct RankMemory {
  Index inputs = 0;   ///< q, k, v; in a backward pass also out, lse and dout
  Index outputs = 0;  ///< out and lse, or dq, dk and dv
  Index state = 0;    ///< of the query rows: softmax state, or gradient sums and factors, and the
                      ///< numbers that make scales; and what rounding took from gradients of keys
  Index buffers = 0;  ///< packed shards and gradients that are sent, received or waited for

  [[nodiscard]] Index total() const { return inputs + outputs + state + buffers; }
};

/// What RingAttention holds. A backward pass is counted as starting from the shards that its
/// forward pass held last.
[[nodiscard]] RankMemory memory_of(const Plan& plan, int rank, Pass pass = Pass::forward);
/// The same where the programs of the forward pass and of `pass` are there already.
[[nodiscard]] RankMemory memory_of(const Plan& plan, int rank, Pass pass, const Program& forward,
                                   const Program& program);

/// Bytes of a buffer for keys, or sums of their gradients, that a program holds beside the rank's
/// own: of the largest piece of them, so that any of them fits where another one was.
[[nodiscard]] Index room_for(const Plan& plan, const Program& program, What what);
/// The same of gradients that arrive, until they are added.
[[nodiscard]] Index room_for_arriving_gradients(const Plan& plan, const Program& program);

}  // namespace annulus
