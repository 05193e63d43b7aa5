#include "comm/thread_messages.hpp"

namespace annulus::comm {

ThreadMessagePointer ThreadMessages::send(int from, int to, ThreadMessage::Leaving leaving) {
  return add(from, to, &ThreadMessage::leaving, std::move(leaving));
}

ThreadMessagePointer ThreadMessages::receive(int from, int to, ThreadMessage::Arriving arriving) {
  return add(from, to, &ThreadMessage::arriving, std::move(arriving));
}

template <class Half>
ThreadMessagePointer ThreadMessages::add(int from, int to, std::optional<Half> ThreadMessage::*half,
                                         Half value) {
  auto& waiting = halves_[{from, to}];
  ThreadMessagePointer message;
  if (waiting.empty() || (*waiting.front()).*half) {
    message = std::make_shared<ThreadMessage>(from, to);
    waiting.push_back(message);
  } else {
    message = waiting.front();
    waiting.pop_front();
    whole_[static_cast<std::size_t>(to)].push_back(message);
  }
  (*message).*half = std::move(value);
  return message;
}

ThreadMessagePointer ThreadMessages::take(int rank) {
  auto& messages = whole_[static_cast<std::size_t>(rank)];
  if (messages.empty()) return nullptr;
  auto message = messages.front();
  messages.pop_front();
  return message;
}

void ThreadMessages::withdraw(const ThreadMessagePointer& message) {
  std::erase(halves_[{message->from, message->to}], message);
  std::erase(whole_[static_cast<std::size_t>(message->to)], message);
}

}  // namespace annulus::comm
