#pragma once
// A message over NCCL.

#include <exception>
#include <memory>
#include <optional>

#include "annulus/comm/communicator.hpp"
#include "comm/nccl_handle.hpp"

namespace annulus::comm {

/// From device to device, beside the work of a stream and ordered with it by events.
class NcclExchange final : public Exchange {
 public:
  NcclExchange(std::shared_ptr<NcclHandle> handle, device::Stream& stream, std::optional<Send> send,
               std::optional<Receive> receive);
  NcclExchange(const NcclExchange&) = delete;
  NcclExchange& operator=(const NcclExchange&) = delete;
  ~NcclExchange() override;

  bool poll() override;
  void wait() override;

 private:
  std::shared_ptr<NcclHandle> handle_;
  device::Stream& stream_;
  std::shared_ptr<NcclOperation> operation_;
  bool finished_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

/// Between memory of hosts, through that of devices; returns when it is done. Both ends tell each
/// other their lengths first, and both throw Error where they differ.
void exchange_on_hosts(NcclHandle& handle, std::optional<Send> send,
                       std::optional<Receive> receive);

}  // namespace annulus::comm
