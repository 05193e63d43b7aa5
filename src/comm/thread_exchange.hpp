#pragma once
// A message between two threads.

#include <exception>
#include <memory>
#include <mutex>
#include <optional>

#include "annulus/comm/communicator.hpp"
#include "comm/thread_group.hpp"

namespace annulus::comm {

/// The receiver copies straight from the sender's memory, outside the lock, as soon as it polls or
/// waits and finds the message posted. On a device it enqueues that copy on its transfers, behind
/// the work of both streams, and lets both streams go on behind the copy: hosts wait for each
/// other, never for a device.
///
/// Once the exchange is gone, however it ended, the stream of this rank comes after whatever still
/// reads or writes its memory. So memory that is freed on that stream, and the stream itself, may
/// go even where a rank throws, while the stream of a peer has yet to read from them.
class ThreadExchange final : public Exchange {
 public:
  /// Borrows `stream`, on whose device the bytes are.
  ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank, device::Stream& stream,
                 std::optional<Send> send, std::optional<Receive> receive);
  ThreadExchange(const ThreadExchange&) = delete;
  ThreadExchange& operator=(const ThreadExchange&) = delete;
  ~ThreadExchange() override;

  bool poll() override;
  void wait() override;

 private:
  [[nodiscard]] ThreadWorld& world() const { return group_->world(); }

  /// Moves what can be moved; true once both directions are done.
  bool advance(std::unique_lock<std::mutex>& lock);
  void take(ThreadGroup::Slot& slot, std::unique_lock<std::mutex>& lock);
  /// Throws Error unless the message is what this rank expects.
  void check_message(const ThreadGroup::Slot& slot) const;
  /// Between memory of the two devices. Returns the event after which the sender's may change.
  [[nodiscard]] std::shared_ptr<const device::Event> copy(const ThreadGroup::Slot& slot);
  /// Empties a slot whose message has been copied.
  void collect(ThreadGroup::Slot& slot);
  void check_peers() const;
  /// Takes back a message that nobody will take, once no host reads it.
  void withdraw();

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  device::Stream& stream_;
  std::optional<Send> send_;                     // until it is done
  std::optional<Receive> receive_;               // until it is done
  std::shared_ptr<const device::Event> before_;  // the work that the transfer comes after
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
