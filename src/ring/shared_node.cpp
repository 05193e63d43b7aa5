#include "ring/shared_node.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"

namespace annulus::ring {

SharedNode::SharedNode(const Plan& plan, comm::Communicator& communicator, Pass pass)
    : plan_(plan),
      rank_(communicator.rank()),
      layout_(node_memory_of(plan, pass)),
      peers_(plan.peers(rank_)) {
  if (!plan.reads_in_place()) return;
  memory_ = &communicator.shared_memory(layout_.bytes);
  met_ = memory_->tick();
  for (const int peer : peers_) {
    auto& places = places_.emplace_back();
    std::size_t arrived = 0;
    for (const auto& step : plan.program(peer)) {
      places.push_back(arrived % 2);
      if (step.hop.from >= 0) ++arrived;
    }
  }
  meet();
}

std::span<std::byte> SharedNode::part(int holder, Index begin, Index bytes) const {
  return memory_->of(holder).subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(bytes));
}

std::size_t SharedNode::place(int holder, std::size_t step) const {
  return places_[static_cast<std::size_t>(position_of(holder))][step];
}

std::span<std::byte> SharedNode::shard(int owner, int holder, std::size_t step) const {
  const Index begin = owner == holder ? layout_.own : layout_.received[place(holder, step)];
  return part(holder, begin, plan_.payload_bytes(owner));
}

std::span<std::byte> SharedNode::sums(int owner, int holder, std::size_t step) const {
  const Index begin =
      owner == holder ? layout_.own_sums : layout_.received_sums[place(holder, step)];
  return part(holder, begin, plan_.gradient_bytes(owner));
}

std::span<std::byte> SharedNode::arrival(std::size_t place, Index bytes) const {
  return part(rank_, layout_.received[place], bytes);
}

std::span<std::byte> SharedNode::arrival_sums(std::size_t place, Index bytes) const {
  return part(rank_, layout_.received_sums[place], bytes);
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
  if (!shares() || holder == rank_) return;
  // Turns that this rank has no use for are over, and others may wait for them.
  end_turns_before(turn(holder));
  // The last one before this rank who adds something, or the holder: whoever that is has waited for
  // the others.
  const auto adds = [&](int peer) {
    const auto& reads = plan_.program(peer)[step].reads;
    return std::ranges::find(reads, holder, &Read::holder) != reads.end();
  };
  Index before = turn(holder) - 1;
  while (before > 0 && !adds(peer_at(before, holder))) --before;
  memory_->wait_for(peer_at(before, holder), met_ + before + 1, poll);
}

void SharedNode::end_turn(int holder) {
  if (shares()) end_turns_before(turn(holder) + 1);
}

void SharedNode::end_turns_before(Index turn) {
  if (met_ + turn > memory_->tick()) memory_->announce(met_ + turn);
}

}  // namespace annulus::ring
