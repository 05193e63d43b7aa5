#pragma once
// A message between two threads.

#include <exception>
#include <memory>
#include <mutex>
#include <optional>

#include "annulus/comm/communicator.hpp"
#include "comm/thread_group.hpp"

namespace annulus::comm {

/// The receiver copies straight from the sender's buffer, outside the lock, as soon as it polls or
/// waits and finds the message posted.
class ThreadExchange final : public Exchange {
 public:
  ThreadExchange(std::shared_ptr<ThreadGroup> group, int rank, std::optional<Send> send,
                 std::optional<Receive> receive);
  ThreadExchange(const ThreadExchange&) = delete;
  ThreadExchange& operator=(const ThreadExchange&) = delete;
  ~ThreadExchange() override;

  bool poll() override;
  void wait() override;

 private:
  [[nodiscard]] ThreadWorld& world() const { return group_->world(); }

  /// Moves what can be moved; true once both directions are done.
  bool advance(std::unique_lock<std::mutex>& lock);
  void copy(ThreadGroup::Slot& slot, std::unique_lock<std::mutex>& lock);
  void check_peers() const;
  /// Takes back a message that nobody will take, once nobody reads it.
  void withdraw();

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  std::optional<Send> send_;        // until it is done
  std::optional<Receive> receive_;  // until it is done
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
