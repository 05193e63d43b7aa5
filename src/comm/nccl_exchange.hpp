#pragma once
// Messages over NCCL.

#include <exception>
#include <memory>
#include <span>

#include "annulus/comm/communicator.hpp"
#include "comm/nccl_handle.hpp"

namespace annulus::comm {

/// From device to device, beside the work of a stream and ordered with it by events. What one
/// exchange sends and receives goes at a time; exchanges go one after the other.
class NcclExchange final : public Exchange {
 public:
  NcclExchange(std::shared_ptr<NcclHandle> handle, device::Stream& stream,
               std::span<const Send> sends, std::span<const Receive> receives);
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

/// Between memory of hosts, through that of devices; returns when it is done. All ends tell each
/// other their lengths first, and both of a message throw Error where they differ.
void exchange_on_hosts(NcclHandle& handle, std::span<const Send> sends,
                       std::span<const Receive> receives);

}  // namespace annulus::comm
