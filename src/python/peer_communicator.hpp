#pragma once
// Ranks that a Python object joins, such as a process group of PyTorch.

#include <memory>
#include <string>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "comm/exchange_queue.hpp"
#include "python/bindings.hpp"

namespace annulus::python {

/// Messages over `peers`, an object with two functions, send(rank, memory, number) and
/// receive(rank, memory, number): each starts a transfer between this rank and another, the
/// number-th in that direction, and returns an object whose wait() returns when it is done.
/// Transfers make progress by themselves. Collectives are made of such messages. Of nodes nothing
/// is known.
class PeerCommunicator final : public comm::Communicator {
 public:
  PeerCommunicator(nb::object peers, int rank, int ranks, std::string name, std::string library);

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] const Topology& topology() const override { return topology_; }
  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string library() const override { return library_; }
  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<comm::Exchange> exchange(
      std::span<const comm::Send> sends, std::span<const comm::Receive> receives) override;
  [[nodiscard]] std::unique_ptr<comm::Exchange> exchange_on(
      device::Stream& stream, std::span<const comm::Send> sends,
      std::span<const comm::Receive> receives) override;
  void barrier() override;
  void broadcast(std::span<std::byte> data, int root) override;
  void all_reduce(std::span<double> data, comm::Reduction reduction) override;
  void all_reduce(std::span<Index> data, comm::Reduction reduction) override;
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override;
  [[nodiscard]] comm::SharedMemory& shared_memory(Index bytes) override;
  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override;

 private:
  /// The object, and how many messages have gone to and come from each rank.
  struct Peers {
    nb::object object;
    std::vector<Index> sent;
    std::vector<Index> received;
  };

  PeerCommunicator(const PeerCommunicator& parent, int ranks);
  [[nodiscard]] comm::ExchangeQueue::Start start();
  /// Everybody's bytes, as many from each, into theirs[rank].
  void exchange_all(std::span<const std::byte> mine, std::vector<std::vector<std::byte>>& theirs);
  template <class T>
  void reduce(std::span<T> data, comm::Reduction reduction);

  std::shared_ptr<Peers> peers_;
  int rank_;
  Topology topology_;
  std::string name_;
  std::string library_;
  comm::ExchangeQueue exchanges_;
  std::unique_ptr<comm::SharedMemory> shared_memory_;
};

}  // namespace annulus::python
