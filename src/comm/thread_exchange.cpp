#include "comm/thread_exchange.hpp"

#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using State = ThreadGroup::Slot::State;

ThreadExchange::ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank, device::Stream& stream,
                               std::optional<Send> send, std::optional<Receive> receive)
    : group_(std::move(group)),
      rank_(rank),
      stream_(stream),
      send_(send),
      receive_(receive),
      before_(stream.record()) {
  const std::lock_guard lock(world().mutex);
  world().check();
  if (!send_) return;
  auto& slot = group_->slot(rank_, send_->to);
  ensure(slot.state == State::empty, "two exchanges of one rank are under way");
  slot = {.state = State::posted,
          .data = send_->data,
          .memory = stream_.device().kind,
          .ready = before_};
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
      take(slot, lock);
      receive_.reset();
    }
  }
  if (send_) {
    auto& slot = group_->slot(rank_, send_->to);
    if (slot.state == State::copied) {
      send_.reset();
      collect(slot);
    }
  }
  return !send_ && !receive_;
}

void ThreadExchange::take(ThreadGroup::Slot& slot, std::unique_lock<std::mutex>& lock) {
  try {
    check_message(slot);
    slot.state = State::copying;
    lock.unlock();
    auto copied = copy(slot);
    lock.lock();
    slot.copied = std::move(copied);
    slot.state = State::copied;
    world().changed.notify_all();
  } catch (const std::exception& error) {
    if (!lock.owns_lock()) lock.lock();
    slot.state = State::posted;
    // Said at once: the sender may be waiting for this rank to take the message.
    world().fail(rank_, error.what());
    world().changed.notify_all();
    throw;
  }
}

void ThreadExchange::check_message(const ThreadGroup::Slot& slot) const {
  const auto memory = stream_.device().kind;
  if (slot.memory != memory) {
    throw Error(fmt::format("rank {} receives in memory of {} what rank {} sends from memory of {}",
                            rank_, name_of(memory), receive_->from, name_of(slot.memory)));
  }
  check_length(rank_, receive_->from, slot.data.size(), receive_->data.size());
}

std::shared_ptr<const device::Event> ThreadExchange::copy(const ThreadGroup::Slot& slot) {
  auto& transfers = stream_.transfers();
  transfers.wait(*slot.ready);
  transfers.wait(*before_);
  transfers.copy(
      device::RowCopy::of_bytes(receive_->data.data(), slot.data.data(), slot.data.size()));
  auto copied = transfers.record();
  stream_.wait(*copied);
  return copied;
}

void ThreadExchange::collect(ThreadGroup::Slot& slot) {
  const auto copied = std::exchange(slot, {}).copied;
  stream_.wait(*copied);
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
  if (slot.state == State::posted) slot = {};
  if (slot.state != State::copied) return;
  try {
    collect(slot);
  } catch (const Error&) {
    // The device has failed, and with it whatever would still read the message.
  }
}

}  // namespace annulus::comm
