#pragma once
// A single rank without peers.

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

class SelfCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] const Topology& topology() const override { return topology_; }
  [[nodiscard]] std::string_view name() const override { return "self"; }
  [[nodiscard]] bool one_process() const override { return true; }
  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override;
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override;
  void barrier() override {}
  void broadcast(std::span<std::byte> data, int root) override;
  void all_reduce(std::span<double> data, Reduction reduction) override;
  void all_reduce(std::span<Index> data, Reduction reduction) override;
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override;
  [[nodiscard]] SharedMemory& shared_memory(Index bytes) override;
  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override;

 private:
  Topology topology_;
  std::unique_ptr<SharedMemory> shared_memory_;
};

/// One rank alone.
[[nodiscard]] inline SelfCommunicator self() {
  return {};
}

}  // namespace annulus::comm
