#include "annulus/comm/self.hpp"

#include "comm/arguments.hpp"
#include "comm/completed_exchange.hpp"
#include "comm/local_region.hpp"
#include "comm/messages_to_itself.hpp"

namespace annulus::comm {
std::unique_ptr<Exchange> SelfCommunicator::exchange(std::span<const Send> sends,
                                                     std::span<const Receive> receives) {
  return exchange_on(*device::cpu_stream(), sends, receives);
}

std::unique_ptr<Exchange> SelfCommunicator::exchange_on(device::Stream& stream,
                                                        std::span<const Send> sends,
                                                        std::span<const Receive> receives) {
  check_exchange(*this, sends, receives);
  for_each_to_itself(0, sends, receives, [&](const Send& send, const Receive& receive) {
    stream.copy(device::RowCopy::of_bytes(receive.data.data(), send.data.data(), send.data.size()));
  });
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
