#pragma once
// A communicator that is another one, but for what a test changes.

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

class ForwardingCommunicator : public Communicator {
 public:
  /// Borrows `world`.
  explicit ForwardingCommunicator(Communicator& world) : world_(world) {}

  [[nodiscard]] int rank() const override { return world_.rank(); }
  [[nodiscard]] const Topology& topology() const override { return world_.topology(); }
  [[nodiscard]] std::string_view name() const override { return world_.name(); }
  [[nodiscard]] device::Allocation exchanged_memory() const override {
    return world_.exchanged_memory();
  }
  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override {
    return world_.exchange(sends, receives);
  }
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override {
    return world_.exchange_on(stream, sends, receives);
  }
  void check() override { world_.check(); }
  void barrier() override { world_.barrier(); }
  void broadcast(std::span<std::byte> data, int root) override { world_.broadcast(data, root); }
  void all_reduce(std::span<double> data, Reduction reduction) override {
    world_.all_reduce(data, reduction);
  }
  void all_reduce(std::span<Index> data, Reduction reduction) override {
    world_.all_reduce(data, reduction);
  }
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override {
    return world_.all_gather(data);
  }
  [[nodiscard]] SharedMemory& shared_memory(Index bytes) override {
    return world_.shared_memory(bytes);
  }
  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override {
    return world_.first(ranks);
  }

 private:
  Communicator& world_;
};

}  // namespace annulus::comm
