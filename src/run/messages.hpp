#pragma once
// Single messages between two ranks, each of which the other one waits for.

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "annulus/comm/communicator.hpp"

namespace annulus::run {

template <class T>
void send_value(comm::Communicator& communicator, int to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  communicator.exchange(comm::Send{to, std::as_bytes(std::span(&value, 1))}, {})->wait();
}

template <class T>
[[nodiscard]] T receive_value(comm::Communicator& communicator, int from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  communicator.exchange({}, comm::Receive{from, std::as_writable_bytes(std::span(&value, 1))})
      ->wait();
  return value;
}

inline void send_text(comm::Communicator& communicator, int to, const std::string& text) {
  send_value(communicator, to, text.size());
  communicator.exchange(comm::Send{to, std::as_bytes(std::span(text))}, {})->wait();
}

[[nodiscard]] inline std::string receive_text(comm::Communicator& communicator, int from) {
  std::string text(receive_value<std::size_t>(communicator, from), '\0');
  communicator.exchange({}, comm::Receive{from, std::as_writable_bytes(std::span(text))})->wait();
  return text;
}

}  // namespace annulus::run
