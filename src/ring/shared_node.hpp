#pragma once
// The ranks of a node during a pass: where they find each other's keys and gradients, and when.

#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/node_memory.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/pass_programs.hpp"

namespace annulus::ring {

/// A rank without peers has no memory to share, and never waits.
class SharedNode {
 public:
  /// Collective. Borrows `plan` and `programs`. Returns when no peer uses the memory for an earlier
  /// pass any more.
  SharedNode(const Plan& plan, comm::Communicator& communicator, Pass pass, PassPrograms& programs);

  /// Whether there are peers.
  [[nodiscard]] bool shares() const { return memory_ != nullptr; }

  /// The packed keys that `holder`, a peer or the rank itself, owns; the sums of their gradients.
  [[nodiscard]] std::span<std::byte> own(int holder, Index bytes) const;
  [[nodiscard]] std::span<std::byte> own_sums(int holder, Index bytes) const;
  /// The same of what `holder` has received for `step`.
  [[nodiscard]] std::span<std::byte> received(int holder, std::size_t step, Index bytes) const;
  [[nodiscard]] std::span<std::byte> received_sums(int holder, std::size_t step, Index bytes) const;

  /// Returns once all peers have come here; what they wrote before is there.
  void meet();

  /// In a step of a backward pass, the peers add to the gradients that `holder` holds one after the
  /// other, `holder` first: waits until all who are to be before this rank have added theirs.
  void wait_for_turn(int holder, std::size_t step, const kernels::Poll& poll);
  /// This rank will not touch again what `holder` holds in this step, nor what the holders before
  /// it in the order of its reads hold.
  void end_turn(int holder);

 private:
  [[nodiscard]] bool takes_turns() const { return shares() && pass_ == Pass::backward; }
  [[nodiscard]] std::span<std::byte> part(int holder, Index begin, Index bytes) const;
  /// Which of two places in turn a step uses.
  [[nodiscard]] std::size_t place(std::size_t step) const;
  /// How many peers come before this rank in the turns of `holder`, which count from `holder` on.
  [[nodiscard]] Index turn(int holder) const;
  /// The peer who has that turn.
  [[nodiscard]] int peer_at(Index turn, int holder) const;
  [[nodiscard]] Index position_of(int peer) const;
  void end_turns_before(Index turn);

  int rank_;
  Pass pass_;
  std::size_t last_step_;  // of a forward pass
  NodeMemory layout_;
  std::vector<int> peers_;
  PassPrograms& programs_;
  comm::SharedMemory* memory_ = nullptr;
  Index met_ = 0;  // the tick at which the peers last met
};

}  // namespace annulus::ring
