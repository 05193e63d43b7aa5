#pragma once
// An NCCL communicator, and what is under way on it.

#include <nccl.h>

#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "annulus/comm/nccl.hpp"

namespace annulus::comm {

/// Something on the stream for transfers, between two events.
struct NcclOperation {
  using Time = std::chrono::steady_clock::time_point;

  const char* what;                           ///< for messages
  std::shared_ptr<const device::Event> turn;  ///< what was asked for before is done
  std::shared_ptr<const device::Event> done;  ///< null until NCCL has enqueued it
  std::optional<Time> since{};                ///< when it was seen that its turn had come
};

/// Owns an ncclComm_t that is not blocking: calls return before NCCL has done what they ask for, so
/// that nothing waits longer than the timeout. While NCCL is at it, neither another call nor the
/// stream may be touched; all members know that. Every failure aborts the communicator, and is what
/// later calls throw again.
class NcclHandle {
 public:
  /// Returns when all ranks have come.
  NcclHandle(const NcclId& id, int ranks, int rank, std::shared_ptr<device::Stream> stream,
             const NcclOptions& options);
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;
  /// Waits for the other ranks, at most the timeout, and not long where an exception passes. Then
  /// it aborts.
  ~NcclHandle();

  /// A handle of the first `ranks` ranks, fewer than all; null on the others. Collective.
  [[nodiscard]] std::shared_ptr<NcclHandle> split(int ranks);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int rank() const { return rank_; }
  /// The stream for transfers, where all happens, as the owner of memory. Between two calls of
  /// NCCL, see settle().
  [[nodiscard]] const std::shared_ptr<device::Stream>& stream() const { return transfers_; }

  /// Looks at what is under way without waiting. Throws Error where it has failed or takes longer
  /// than the timeout.
  void advance();
  /// Returns when NCCL has enqueued all that it was asked for.
  void settle();
  /// Returns when the device has done it.
  void drain();

  /// Starts what `work` enqueues, by one of the functions below or on the stream itself. After
  /// settle().
  [[nodiscard]] std::shared_ptr<NcclOperation> start(const char* what,
                                                     const std::function<void()>& work);
  /// The same; returns when the device has done it. After drain().
  void run(const char* what, const std::function<void()>& work);
  /// Whether NCCL has enqueued it, and whether the device has done it.
  [[nodiscard]] bool enqueued(const NcclOperation& operation);
  [[nodiscard]] bool done(const NcclOperation& operation);

  /// Messages between memory of devices, all at a time. Those of no bytes are left out.
  void pass(std::span<const Send> sends, std::span<const Receive> receives);
  /// `mine` of every rank, of equal length, by rank.
  void gather(std::span<const std::byte> mine, std::byte* all);
  void broadcast(std::span<std::byte> data, int root);

  /// Ends NCCL's work on the device at once. `reason` is what later calls throw.
  void abort(std::string reason) noexcept;
  /// The same for a rank that does not wait for the others.
  void give_up() noexcept;

 private:
  NcclHandle(int ranks, int rank, std::shared_ptr<device::Stream> stream,
             const NcclOptions& options);

  /// Notes what a call returned: whether NCCL is still at it.
  void expect(ncclResult_t code, const char* call);
  [[noreturn]] void fail(std::string reason);
  [[noreturn]] void fail_by_timeout(const char* what);
  [[nodiscard]] bool overdue(NcclOperation::Time since) const;
  void finalize();

  ncclComm_t communicator_ = nullptr;  // null before it is there and after it was aborted
  int ranks_;
  int rank_;
  std::shared_ptr<device::Stream> stream_;
  std::shared_ptr<device::Stream> transfers_;
  NcclOptions options_;
  const char* call_ = nullptr;  // that NCCL is at, or null
  NcclOperation::Time called_{};
  std::deque<std::shared_ptr<NcclOperation>> operations_;  // that are not known to be done
  std::string failure_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
