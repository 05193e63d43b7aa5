#pragma once
// Messages between threads under way.

#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "comm/thread_group.hpp"

namespace annulus::comm {

/// The receiver copies straight from the sender's memory, outside the lock, as soon as it polls or
/// waits, for this exchange or another one, and finds that the message is there. On a device it
/// enqueues that copy on its transfers, behind the work of both streams, and lets both streams go
/// on behind the copy: hosts wait for each other, never for a device.
///
/// Once the exchange is gone, however it ended, the stream of this rank comes after whatever still
/// reads or writes its memory. So memory that is freed on that stream, and the stream itself, may
/// go even where a rank throws, while the stream of a peer has yet to read from them.
class ThreadExchange final : public Exchange {
 public:
  /// Borrows `stream`, on whose device the bytes are.
  ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank, device::Stream& stream,
                 std::span<const Send> sends, std::span<const Receive> receives);
  ThreadExchange(const ThreadExchange&) = delete;
  ThreadExchange& operator=(const ThreadExchange&) = delete;
  ~ThreadExchange() override;

  bool poll() override;
  void wait() override;

 private:
  [[nodiscard]] ThreadWorld& world() const { return group_->world(); }

  /// Moves what can be moved; true once all that this exchange is about is done.
  bool advance(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool done() const { return sends_.empty() && receives_.empty(); }
  /// As the receiver of a message.
  void copy(ThreadMessage& message, std::unique_lock<std::mutex>& lock);
  void check_peers() const;
  /// Takes back the messages that nobody will copy, once no host reads them.
  void withdraw();

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  device::Stream& stream_;
  std::vector<ThreadMessagePointer> sends_;     // that are not done
  std::vector<ThreadMessagePointer> receives_;  // likewise
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
