#pragma once
// A message between devices whose transport knows only memory of the host.

#include <exception>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// What is sent is copied to pinned memory behind the work of the stream, on the stream for
/// transfers; when it is there, the host's exchange starts, and what it brings is copied to the
/// device.
class StagedExchange final : public Exchange {
 public:
  StagedExchange(Communicator& communicator, device::Stream& stream, std::optional<Send> send,
                 std::optional<Receive> receive);
  StagedExchange(const StagedExchange&) = delete;
  StagedExchange& operator=(const StagedExchange&) = delete;
  ~StagedExchange() override;

  bool poll() override;
  void wait() override;

 private:
  /// Pinned memory for one direction.
  class Staging {
   public:
    Staging(device::Stream& stream, std::size_t bytes);
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    ~Staging();
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

   private:
    device::Stream& stream_;
    std::span<std::byte> bytes_;
  };

  Communicator& communicator_;
  device::Stream& stream_;
  device::Stream& transfers_;
  std::optional<Send> send_;
  std::optional<Receive> receive_;
  std::optional<Staging> leaving_;
  std::optional<Staging> arriving_;
  std::shared_ptr<const device::Event> staged_;  // what is sent is in pinned memory
  std::unique_ptr<Exchange> exchange_;           // of the host, once it has started
  bool done_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
