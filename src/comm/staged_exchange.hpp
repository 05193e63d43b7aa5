#pragma once
// Messages between devices whose transport knows only memory of the host.

#include <deque>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "comm/exchange_queue.hpp"

namespace annulus::comm {

/// What is sent is copied to pinned memory behind the work of the stream, on its transfers; when
/// the host sees it there, its exchange starts, and what that brings is copied to the device. A
/// message goes as a whole: its copies and its way between hosts do not overlap each other, only
/// the work of the stream.
///
/// Once the exchange is gone, however it ended, the stream comes after whatever transfers still do
/// with its memory.
class StagedExchange final : public Exchange {
 public:
  /// Borrows `hosts`, where the exchanges of the hosts start in their order, and `stream`.
  StagedExchange(ExchangeQueue& hosts, device::Stream& stream, std::span<const Send> sends,
                 std::span<const Receive> receives);
  StagedExchange(const StagedExchange&) = delete;
  StagedExchange& operator=(const StagedExchange&) = delete;
  ~StagedExchange() override;

  bool poll() override;
  void wait() override;

 private:
  /// Pinned memory for one message, in use until the work enqueued on `transfers` is done.
  class Staging {
   public:
    Staging(device::Stream& transfers, std::size_t bytes);
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    ~Staging();
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

   private:
    device::Stream& transfers_;
    std::span<std::byte> bytes_;
  };

  /// Starts the copies to pinned memory. Returns the event after which the hosts may exchange, or
  /// null where nothing is sent.
  std::shared_ptr<const device::Event> copy_to_host(std::span<const Send> sends);
  /// The hosts are done: what has arrived goes to the device.
  void finish();

  device::Stream& stream_;
  device::Stream& transfers_;
  std::vector<Receive> receives_;
  std::deque<Staging> leaving_;
  std::deque<Staging> arriving_;
  std::unique_ptr<Exchange> exchange_;  // of the hosts, until it is done
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
