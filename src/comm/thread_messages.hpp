#pragma once
// Messages between threads, from when they are asked for to when they are copied.

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "annulus/device/stream.hpp"

namespace annulus::comm {

/// A message between two ranks. Once both halves are there, the receiver copies it, or tells its
/// device to. Where there is no device, the events are those of the CPU: nobody waits for them.
struct ThreadMessage {
  enum class State { waiting, copying, copied };
  using EventPointer = std::shared_ptr<const device::Event>;

  /// The sender's half.
  struct Leaving {
    std::span<const std::byte> data;
    DeviceKind memory;   ///< where they lie
    EventPointer ready;  ///< of the sender's device: they are there
  };
  /// The receiver's half.
  struct Arriving {
    std::span<std::byte> place;
    device::Stream* stream;  ///< of the receiver, whose work the copy is ordered with
    EventPointer ready;      ///< of its device: the place is not in use any more
  };

  ThreadMessage(int sender, int receiver) : from(sender), to(receiver) {}

  int from;
  int to;
  State state = State::waiting;
  std::optional<Leaving> leaving{};
  std::optional<Arriving> arriving{};
  EventPointer copied{};  ///< of the receiver's device: what the sender holds may change
};
using ThreadMessagePointer = std::shared_ptr<ThreadMessage>;

/// The messages between the ranks of a group: the n-th that a rank sends to another is the n-th
/// that the other receives from it. Not thread-safe.
class ThreadMessages {
 public:
  explicit ThreadMessages(int ranks) : whole_(static_cast<std::size_t>(ranks)) {}

  [[nodiscard]] ThreadMessagePointer send(int from, int to, ThreadMessage::Leaving leaving);
  [[nodiscard]] ThreadMessagePointer receive(int from, int to, ThreadMessage::Arriving arriving);

  /// A message that `rank` is to copy, the oldest first, and has been told of now; null where there
  /// is none.
  [[nodiscard]] ThreadMessagePointer take(int rank);
  /// Forgets a message that nobody is to copy any more.
  void withdraw(const ThreadMessagePointer& message);

 private:
  template <class Half>
  [[nodiscard]] ThreadMessagePointer add(int from, int to, std::optional<Half> ThreadMessage::*half,
                                         Half value);

  /// By sender and receiver, in their order; of all that wait there, the same half is missing.
  std::map<std::pair<int, int>, std::deque<ThreadMessagePointer>> halves_;
  std::vector<std::deque<ThreadMessagePointer>> whole_;  // by receiver
};

}  // namespace annulus::comm
