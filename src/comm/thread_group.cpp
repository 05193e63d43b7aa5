#include "comm/thread_group.hpp"

#include <utility>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"

namespace annulus::comm {

void ThreadWorld::give_up(int rank) {
  const std::lock_guard lock(mutex);
  fail(rank, fmt::format("rank {} gave up", rank));
}

void ThreadWorld::leave(int rank) {
  {
    const std::lock_guard lock(mutex);
    left[static_cast<std::size_t>(rank)] = true;
  }
  wake_all();
}

void ThreadWorld::wake_all() {
  for (auto& condition : changed) condition.notify_one();
}

void ThreadWorld::fail(int rank, std::string message) {
  if (first_to_fail >= 0) return;
  first_to_fail = rank;
  reason = std::move(message);
  wake_all();
}

void ThreadWorld::check() const {
  if (first_to_fail >= 0) throw CommunicationError(reason);
}

void ThreadWorld::check_present(int rank, int peer) {
  if (!left[static_cast<std::size_t>(peer)]) return;
  fail(rank, fmt::format("rank {} waits for rank {}, which has already returned", rank, peer));
  check();
}

ThreadGroup::ThreadGroup(std::shared_ptr<ThreadWorld> world, Topology topology)
    : world_(std::move(world)),
      topology_(std::move(topology)),
      messages_(topology_.ranks),
      regions_(topology_.node_of.size()),
      pending_(topology_.node_of.size()) {}

std::shared_ptr<const ThreadGroup::Contributions> ThreadGroup::gather(int rank,
                                                                      std::vector<std::byte> mine) {
  std::unique_lock lock(world_->mutex);
  world_->check();
  pending_[static_cast<std::size_t>(rank)] = std::move(mine);
  const Index round = round_;
  if (++arrived_ == ranks()) {
    published_ = std::make_shared<const Contributions>(
        std::exchange(pending_, Contributions(pending_.size())));
    arrived_ = 0;
    ++round_;
    auto all = published_;
    lock.unlock();  // which those who wake up need
    world_->wake_all();
    return all;
  }
  while (round_ == round) {
    world_->check();
    for (int peer = 0; peer < ranks(); ++peer) world_->check_present(rank, peer);
    world_->wait(rank, lock);
  }
  // The next round cannot end before this rank joins it, so this is still the round's result.
  return published_;
}

std::vector<std::shared_ptr<std::byte>> ThreadGroup::share(int rank,
                                                           std::shared_ptr<std::byte> region) {
  {
    const std::lock_guard lock(world_->mutex);
    regions_[static_cast<std::size_t>(rank)] = std::move(region);
  }
  static_cast<void>(gather(rank, {}));
  std::vector<std::shared_ptr<std::byte>> all;
  {
    const std::lock_guard lock(world_->mutex);
    all = regions_;
  }
  // Nobody brings the next region before all have seen this one.
  static_cast<void>(gather(rank, {}));
  return all;
}

std::shared_ptr<ThreadGroup> ThreadGroup::first(Index call, int ranks) {
  const std::lock_guard lock(world_->mutex);
  auto& child = children_[call];
  if (!child) {
    auto part = topology_;
    part.ranks = ranks;
    part.node_of.resize(static_cast<std::size_t>(ranks));
    child = std::make_shared<ThreadGroup>(world_, std::move(part));
  }
  if (child->ranks() != ranks) {
    throw CommunicationError(fmt::format(
        "ranks ask for their first {} and their first {} in the same call", child->ranks(), ranks));
  }
  return child;
}

}  // namespace annulus::comm
