#include "annulus/comm/self.hpp"

#include "comm/arguments.hpp"
#include "comm/local_region.hpp"

namespace annulus::comm {
namespace {

/// There is nothing more for the host to do.
class CompletedExchange final : public Exchange {
 public:
  bool poll() override { return true; }
  void wait() override {}
};

}  // namespace

std::unique_ptr<Exchange> SelfCommunicator::exchange(std::optional<Send> send,
                                                     std::optional<Receive> receive) {
  return exchange_on(*device::cpu_stream(), send, receive);
}

std::unique_ptr<Exchange> SelfCommunicator::exchange_on(device::Stream& stream,
                                                        std::optional<Send> send,
                                                        std::optional<Receive> receive) {
  check_exchange(*this, send, receive);
  if (send) {
    stream.copy(
        device::RowCopy::of_bytes(receive->data.data(), send->data.data(), send->data.size()));
  }
  return std::make_unique<CompletedExchange>();
}

void SelfCommunicator::broadcast(std::span<std::byte> /*data*/, int root) {
  check_root(*this, root);
}

void SelfCommunicator::all_reduce(std::span<double> /*data*/, Reduction /*reduction*/) {}

void SelfCommunicator::all_reduce(std::span<Index> /*data*/, Reduction /*reduction*/) {}

std::vector<std::vector<std::byte>> SelfCommunicator::all_gather(std::span<const std::byte> data) {
  return {std::vector<std::byte>(data.begin(), data.end())};
}

SharedMemory& SelfCommunicator::shared_memory(Index bytes) {
  if (!shared_memory_ || shared_memory_->bytes() < bytes) {
    auto region = make_region(bytes);
    std::vector<SharedMemory::Region> regions{{0, region.get()}};
    shared_memory_ = std::make_unique<SharedMemory>(0, bytes, std::move(regions), std::move(region),
                                                    std::function<void()>{});
  }
  return *shared_memory_;
}

std::unique_ptr<Communicator> SelfCommunicator::first(int ranks) {
  check_first(*this, ranks);
  return std::make_unique<SelfCommunicator>();
}

}  // namespace annulus::comm
