#pragma once
// The ranks of a node during a pass: where they find each other's keys and gradients, and when.

#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/node_memory.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::ring {

/// A rank without peers has no memory to share, and never waits.
class SharedNode {
 public:
  /// Collective. Borrows `plan`. Returns when no peer uses the memory for an earlier pass any more.
  SharedNode(const Plan& plan, comm::Communicator& communicator, Pass pass);

  /// Whether there are peers.
  [[nodiscard]] bool shares() const { return memory_ != nullptr; }

  /// The bytes of the shard of `owner` that `holder`, a peer or the rank itself, holds in `step`.
  [[nodiscard]] std::span<std::byte> shard(int owner, int holder, std::size_t step) const;
  /// Its gradients.
  [[nodiscard]] std::span<std::byte> sums(int owner, int holder, std::size_t step) const;
  /// The two places where shards of others arrive in turns, and the gradients of these.
  [[nodiscard]] std::span<std::byte> arrival(std::size_t place, Index bytes) const;
  [[nodiscard]] std::span<std::byte> arrival_sums(std::size_t place, Index bytes) const;

  /// Which of these two places `holder` uses in `step`: they alternate with every arrival.
  [[nodiscard]] std::size_t place(int holder, std::size_t step) const;

  /// Returns once all peers have come here; what they wrote before is there.
  void meet();

  /// In a step, the peers add to the gradients that `holder` holds one after the other, `holder`
  /// first: waits until all who are to be before this rank have added theirs.
  void wait_for_turn(int holder, std::size_t step, const kernels::Poll& poll);
  /// This rank will not touch again what `holder` holds in this step, nor what the holders before
  /// it in the order of its reads hold.
  void end_turn(int holder);

 private:
  [[nodiscard]] std::span<std::byte> part(int holder, Index begin, Index bytes) const;
  /// How many peers come before this rank in the turns of `holder`, which count from `holder` on.
  [[nodiscard]] Index turn(int holder) const;
  /// The peer who has that turn.
  [[nodiscard]] int peer_at(Index turn, int holder) const;
  [[nodiscard]] Index position_of(int peer) const;
  void end_turns_before(Index turn);

  const Plan& plan_;
  int rank_;
  NodeMemory layout_;
  const std::vector<int>& peers_;
  comm::SharedMemory* memory_ = nullptr;
  Index met_ = 0;                                 // the tick at which the peers last met
  std::vector<std::vector<std::size_t>> places_;  // of each peer and step
};

}  // namespace annulus::ring
