#include "ring/node.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"

namespace annulus::ring {

Node::Node(const Plan& plan, comm::Communicator& communicator, Pass pass)
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
    for (const auto& step : plan.steps) {
      places.push_back(arrived % 2);
      if (step.ranks[static_cast<std::size_t>(peer)].hop.from >= 0) ++arrived;
    }
  }
  meet({});
}

std::span<std::byte> Node::part(int holder, Index begin, Index bytes) const {
  return memory_->of(holder).subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(bytes));
}

std::size_t Node::place(int holder, std::size_t step) const {
  const auto peer = std::ranges::find(peers_, holder) - peers_.begin();
  return places_[static_cast<std::size_t>(peer)][step];
}

std::span<std::byte> Node::shard(int owner, int holder, std::size_t step) const {
  const Index begin = owner == holder ? layout_.own : layout_.received[place(holder, step)];
  return part(holder, begin, plan_.payload_bytes(owner));
}

std::span<std::byte> Node::sums(int owner, int holder, std::size_t step) const {
  const Index begin =
      owner == holder ? layout_.own_sums : layout_.received_sums[place(holder, step)];
  return part(holder, begin, plan_.gradient_bytes(owner));
}

std::span<std::byte> Node::arrival(std::size_t place, Index bytes) const {
  return part(rank_, layout_.received[place], bytes);
}

std::span<std::byte> Node::arrival_sums(std::size_t place, Index bytes) const {
  return part(rank_, layout_.received_sums[place], bytes);
}

// Between two meetings a rank announces the turns that it has ended, 1 to as many as it has peers,
// counted from the last meeting.
void Node::meet(const kernels::Poll& poll) {
  if (!shares()) return;
  met_ += static_cast<Index>(peers_.size()) + 1;
  memory_->announce(met_);
  for (const int peer : peers_) memory_->wait_for(peer, met_, poll);
}

Index Node::turn(int rank, int holder) const {
  const auto at = [&](int peer) { return std::ranges::find(peers_, peer) - peers_.begin(); };
  const auto count = static_cast<Index>(peers_.size());
  return (static_cast<Index>(at(rank) - at(holder)) + count) % count;
}

void Node::wait_for_turn(int holder, std::size_t step, const kernels::Poll& poll) {
  if (!shares() || holder == rank_) return;
  // Turns that this rank has no use for are over, and others may wait for them.
  end_turns_before(turn(rank_, holder));
  // The last one before this rank who adds something; whoever that is has waited for the others.
  int before = holder;
  for (const int peer : peers_) {
    const auto& reads = plan_.steps[step].ranks[static_cast<std::size_t>(peer)].reads;
    if (std::ranges::find(reads, holder, &Read::holder) == reads.end()) continue;
    if (turn(peer, holder) < turn(rank_, holder) && turn(peer, holder) > turn(before, holder)) {
      before = peer;
    }
  }
  memory_->wait_for(before, met_ + turn(before, holder) + 1, poll);
}

void Node::end_turn(int holder) {
  if (shares()) end_turns_before(turn(rank_, holder) + 1);
}

void Node::end_turns_before(Index turn) {
  if (met_ + turn > memory_->tick()) memory_->announce(met_ + turn);
}

}  // namespace annulus::ring
