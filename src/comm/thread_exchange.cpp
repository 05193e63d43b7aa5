#include "comm/thread_exchange.hpp"

#include <utility>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using State = ThreadMessage::State;

namespace {

/// Throws Error unless the message is what its receiver expects.
void check_message(const ThreadMessage& message) {
  const auto memory = message.arriving->stream->device().kind;
  if (message.leaving->memory != memory) {
    throw CommunicationError(
        fmt::format("rank {} receives in memory of {} what rank {} sends from memory of {}",
                    message.to, name_of(memory), message.from, name_of(message.leaving->memory)));
  }
  check_length(message.to, message.from, message.leaving->data.size(),
               message.arriving->place.size());
}

/// Between memory of the two devices. Returns the event after which the sender's may change.
std::shared_ptr<const device::Event> enqueue_copy(const ThreadMessage& message) {
  const auto& [data, memory, sent] = *message.leaving;
  const auto& [place, stream, free] = *message.arriving;
  auto& transfers = stream->transfers();
  transfers.wait(*sent);
  transfers.wait(*free);
  transfers.copy(device::RowCopy::of_bytes(place.data(), data.data(), data.size()));
  auto copied = transfers.record();
  stream->wait(*copied);
  return copied;
}

}  // namespace

ThreadExchange::ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank, device::Stream& stream,
                               std::span<const Send> sends, std::span<const Receive> receives)
    : group_(std::move(group)), rank_(rank), stream_(stream) {
  const std::shared_ptr<const device::Event> before = stream_.record();
  std::unique_lock lock(world().mutex);
  world().check();
  auto& messages = group_->messages();
  for (const auto& [to, data] : sends) {
    sends_.push_back(messages.send(rank_, to, {data, stream_.device().kind, before}));
  }
  for (const auto& [from, place] : receives) {
    receives_.push_back(messages.receive(from, rank_, {place, &stream_, before}));
  }
  lock.unlock();  // which those who wake up need
  for (const auto& send : sends) world().wake(send.to);
}

ThreadExchange::~ThreadExchange() {
  // A rank that is throwing must not wait for peers that may be waiting for it.
  if (std::uncaught_exceptions() > exceptions_ && !done()) world().give_up(rank_);
  try {
    wait();
  } catch (const Error&) {
    withdraw();  // the failure is known to the world, whose every later call throws
  }
}

bool ThreadExchange::poll() {
  if (done()) return true;
  std::unique_lock lock(world().mutex);
  if (advance(lock)) return true;
  check_peers();
  return false;
}

void ThreadExchange::wait() {
  std::unique_lock lock(world().mutex);
  while (!advance(lock)) {
    check_peers();
    world().wait(rank_, lock);
  }
}

bool ThreadExchange::advance(std::unique_lock<std::mutex>& lock) {
  if (done()) return true;
  // Whichever exchange they are of: who sends them may wait for that before it does its part here.
  while (const auto message = group_->messages().take(rank_)) copy(*message, lock);
  std::erase_if(receives_, [](const auto& message) { return message->state == State::copied; });
  for (auto message = sends_.begin(); message != sends_.end();) {
    if ((*message)->state != State::copied) {
      ++message;
      continue;
    }
    const auto copied = (*message)->copied;
    message = sends_.erase(message);
    stream_.wait(*copied);
  }
  return done();
}

void ThreadExchange::copy(ThreadMessage& message, std::unique_lock<std::mutex>& lock) {
  try {
    check_message(message);
    message.state = State::copying;
    lock.unlock();
    auto copied = enqueue_copy(message);
    lock.lock();
    message.copied = std::move(copied);
    message.state = State::copied;
    world().wake(message.from);
  } catch (const std::exception& error) {
    if (!lock.owns_lock()) lock.lock();
    message.state = State::waiting;
    // Said at once: the sender may be waiting for this rank to copy the message.
    world().fail(rank_, error.what());
    world().wake(message.from);
    throw;
  }
}

void ThreadExchange::check_peers() const {
  world().check();
  for (const auto& message : receives_) world().check_present(rank_, message->from);
  for (const auto& message : sends_) world().check_present(rank_, message->to);
}

void ThreadExchange::withdraw() {
  std::unique_lock lock(world().mutex);
  for (const auto& message : receives_) group_->messages().withdraw(message);
  for (const auto& message : sends_) {
    while (message->state == State::copying) world().wait(rank_, lock);
    group_->messages().withdraw(message);
    if (message->state != State::copied) continue;
    try {
      stream_.wait(*message->copied);
    } catch (const Error&) {
      // The device has failed, and with it whatever would still read the message.
    }
  }
}

}  // namespace annulus::comm
