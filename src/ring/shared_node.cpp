#include "ring/shared_node.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"

namespace annulus::ring {

SharedNode::SharedNode(const Plan& plan, comm::Communicator& communicator, Pass pass,
                       PassPrograms& programs)
    : rank_(communicator.rank()),
      pass_(pass),
      last_step_(plan.step_count() - 1),
      layout_(node_memory_of(plan, pass)),
      peers_(plan.peers(rank_)),
      programs_(programs) {
  if (!plan.reads_in_place()) return;
  memory_ = &communicator.shared_memory(layout_.bytes);
  met_ = memory_->tick();
  meet();
}

std::span<std::byte> SharedNode::part(int holder, Index begin, Index bytes) const {
  return memory_->of(holder).subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(bytes));
}

// A backward pass comes to the same places in reverse.
std::size_t SharedNode::place(std::size_t step) const {
  return (pass_ == Pass::forward ? step : last_step_ - step) % 2;
}

std::span<std::byte> SharedNode::own(int holder, Index bytes) const {
  return part(holder, layout_.own, bytes);
}

std::span<std::byte> SharedNode::own_sums(int holder, Index bytes) const {
  return part(holder, layout_.own_sums, bytes);
}

std::span<std::byte> SharedNode::received(int holder, std::size_t step, Index bytes) const {
  return part(holder, layout_.received[place(step)], bytes);
}

std::span<std::byte> SharedNode::received_sums(int holder, std::size_t step, Index bytes) const {
  return part(holder, layout_.received_sums[place(step)], bytes);
}

// Between two meetings a rank announces the turns that it has ended, 1 to as many as it has peers,
// counted from the last meeting.
void SharedNode::meet() {
  if (!shares()) return;
  met_ += static_cast<Index>(peers_.size()) + 1;
  memory_->announce(met_);
  for (const int peer : peers_) memory_->wait_for(peer, met_, {});
}

Index SharedNode::position_of(int peer) const {
  return std::ranges::find(peers_, peer) - peers_.begin();
}

Index SharedNode::turn(int holder) const {
  const auto count = static_cast<Index>(peers_.size());
  return (position_of(rank_) - position_of(holder) + count) % count;
}

int SharedNode::peer_at(Index turn, int holder) const {
  const auto count = static_cast<Index>(peers_.size());
  return peers_[static_cast<std::size_t>((position_of(holder) + turn) % count)];
}

void SharedNode::wait_for_turn(int holder, std::size_t step, const kernels::Poll& poll) {
  if (!takes_turns() || holder == rank_) return;
  // Turns that this rank has no use for are over, and others may wait for them.
  end_turns_before(turn(holder));
  // The last one before this rank who adds something, or the holder: whoever that is has waited for
  // the others.
  const auto adds = [&](int peer) {
    const auto& computes = programs_.of(peer, pass_).steps[step].computes;
    return std::ranges::find(computes, holder, &Compute::holder) != computes.end();
  };
  Index before = turn(holder) - 1;
  while (before > 0 && !adds(peer_at(before, holder))) --before;
  memory_->wait_for(peer_at(before, holder), met_ + before + 1, poll);
}

void SharedNode::end_turn(int holder) {
  if (takes_turns()) end_turns_before(turn(holder) + 1);
}

void SharedNode::end_turns_before(Index turn) {
  if (met_ + turn > memory_->tick()) memory_->announce(met_ + turn);
}

}  // namespace annulus::ring
