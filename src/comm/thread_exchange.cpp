#include "comm/thread_exchange.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using State = ThreadGroup::Slot::State;

ThreadExchange::ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank,
                               std::optional<Send> send, std::optional<Receive> receive)
    : group_(std::move(group)), rank_(rank), send_(send), receive_(receive) {
  const std::lock_guard lock(world().mutex);
  world().check();
  if (!send_) return;
  auto& slot = group_->slot(rank_, send_->to);
  ensure(slot.state == State::empty, "two exchanges of one rank are under way");
  slot = {State::posted, send_->data};
  world().changed.notify_all();
}

ThreadExchange::~ThreadExchange() {
  // A rank that is throwing must not wait for peers that may be waiting for it.
  if (std::uncaught_exceptions() > exceptions_ && (send_ || receive_)) world().give_up(rank_);
  try {
    wait();
  } catch (const Error&) {
    withdraw();  // the failure is known to the world, whose every later call throws
  }
}

bool ThreadExchange::poll() {
  if (!send_ && !receive_) return true;
  std::unique_lock lock(world().mutex);
  if (advance(lock)) return true;
  check_peers();
  return false;
}

void ThreadExchange::wait() {
  std::unique_lock lock(world().mutex);
  while (!advance(lock)) {
    check_peers();
    world().changed.wait(lock);
  }
}

bool ThreadExchange::advance(std::unique_lock<std::mutex>& lock) {
  if (receive_) {
    auto& slot = group_->slot(receive_->from, rank_);
    if (slot.state == State::posted) {
      copy(slot, lock);
      receive_.reset();
    }
  }
  if (send_ && group_->slot(rank_, send_->to).state == State::empty) send_.reset();
  return !send_ && !receive_;
}

void ThreadExchange::copy(ThreadGroup::Slot& slot, std::unique_lock<std::mutex>& lock) {
  try {
    check_length(rank_, receive_->from, slot.data.size(), receive_->data.size());
  } catch (const Error& error) {
    // Said at once: the sender may be waiting for this rank to take the message.
    world().fail(rank_, error.what());
    throw;
  }
  slot.state = State::copying;
  lock.unlock();
  std::ranges::copy(slot.data, receive_->data.begin());
  lock.lock();
  slot.state = State::empty;
  world().changed.notify_all();
}

void ThreadExchange::check_peers() const {
  world().check();
  if (receive_) world().check_present(rank_, receive_->from);
  if (send_) world().check_present(rank_, send_->to);
}

void ThreadExchange::withdraw() {
  if (!send_) return;
  std::unique_lock lock(world().mutex);
  auto& slot = group_->slot(rank_, send_->to);
  world().changed.wait(lock, [&] { return slot.state != State::copying; });
  slot.state = State::empty;
}

}  // namespace annulus::comm
