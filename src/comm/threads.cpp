#include "annulus/comm/threads.hpp"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/arguments.hpp"
#include "comm/local_region.hpp"
#include "comm/reduce.hpp"
#include "comm/thread_exchange.hpp"
#include "comm/thread_group.hpp"

namespace annulus::comm {
namespace {

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadGroup> group, int rank)
      : group_(std::move(group)), rank_(rank) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] const Topology& topology() const override { return group_->topology(); }
  [[nodiscard]] std::string_view name() const override { return "threads"; }
  [[nodiscard]] bool one_process() const override { return true; }

  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override {
    return exchange_on(*device::cpu_stream(), sends, receives);
  }

  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override {
    check_exchange(*this, sends, receives);
    return std::make_unique<ThreadExchange>(group_, rank_, stream, sends, receives);
  }

  void barrier() override { static_cast<void>(group_->gather(rank_, {})); }

  void broadcast(std::span<std::byte> data, int root) override {
    check_root(*this, root);
    const auto all = group_->gather(rank_, rank_ == root ? copy_of(data) : Bytes{});
    const Bytes& roots = (*all)[static_cast<std::size_t>(root)];
    check_length(rank_, root, roots.size(), data.size());
    if (rank_ != root) std::ranges::copy(roots, data.begin());
  }

  void all_reduce(std::span<double> data, Reduction reduction) override { reduce(data, reduction); }
  void all_reduce(std::span<Index> data, Reduction reduction) override { reduce(data, reduction); }

  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override {
    return *group_->gather(rank_, copy_of(data));
  }

  [[nodiscard]] SharedMemory& shared_memory(Index bytes) override {
    if (shared_memory_ && shared_memory_->bytes() >= bytes) return *shared_memory_;
    shared_memory_.reset();
    auto all = std::make_shared<std::vector<std::shared_ptr<std::byte>>>(
        group_->share(rank_, make_region(bytes)));
    std::vector<SharedMemory::Region> regions;
    for (const int peer : peers_of(topology(), rank_)) {
      regions.push_back({peer, (*all)[static_cast<std::size_t>(peer)].get()});
    }
    shared_memory_ = std::make_unique<SharedMemory>(rank_, bytes, std::move(regions),
                                                    std::move(all), [this] { check_world(); });
    barrier();  // nobody looks at a tick before it is set
    return *shared_memory_;
  }

  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override {
    check_first(*this, ranks);
    auto group = group_->first(calls_of_first_++, ranks);
    if (rank_ >= ranks) return nullptr;
    return std::make_unique<ThreadCommunicator>(std::move(group), rank_);
  }

 private:
  using Bytes = std::vector<std::byte>;

  void check_world() const {
    const std::lock_guard lock(group_->world().mutex);
    group_->world().check();
  }

  static Bytes copy_of(std::span<const std::byte> data) { return {data.begin(), data.end()}; }

  template <class T>
  void reduce(std::span<T> data, Reduction reduction) {
    const auto all = group_->gather(rank_, copy_of(std::as_bytes(data)));
    for (int from = 0; from < size(); ++from) {
      const Bytes& bytes = (*all)[static_cast<std::size_t>(from)];
      check_length(rank_, from, bytes.size(), data.size_bytes());
      if (from == 0) {
        std::ranges::copy(bytes, std::as_writable_bytes(data).begin());
      } else {
        accumulate(data, bytes.data(), reduction);
      }
    }
  }

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  std::unique_ptr<SharedMemory> shared_memory_;
  Index calls_of_first_ = 0;
};

const Topology& checked(const Topology& topology) {
  if (topology.ranks < 1 || ranks_of_nodes(topology).empty() || topology.node_of.empty()) {
    throw InputError("threads: a topology without ranks or nodes");
  }
  return topology;
}

Topology one_node(int ranks) {
  if (ranks < 1) throw InputError(fmt::format("threads: {} ranks; expected 1 or more", ranks));
  return even_topology(ranks, ranks);
}

}  // namespace

ThreadRanks::ThreadRanks(int ranks) : ThreadRanks(one_node(ranks)) {}

ThreadRanks::ThreadRanks(const Topology& topology)
    : world_(std::make_shared<ThreadWorld>(checked(topology).ranks)) {
  const auto group = std::make_shared<ThreadGroup>(world_, topology);
  for (int rank = 0; rank < topology.ranks; ++rank) {
    communicators_.push_back(std::make_unique<ThreadCommunicator>(group, rank));
  }
}

void ThreadRanks::leave(int rank) {
  world_->leave(rank);
}

void ThreadRanks::give_up(int rank) {
  world_->give_up(rank);
}

int ThreadRanks::first_to_fail() const {
  const std::lock_guard lock(world_->mutex);
  return world_->first_to_fail;
}

void run_threads(int ranks, const std::function<void(Communicator&)>& body) {
  run_threads(one_node(ranks), body);
}

void run_threads(const Topology& topology, const std::function<void(Communicator&)>& body) {
  ThreadRanks ranks(topology);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks.size()));

  const auto run = [&](int rank) {
    try {
      body(ranks.communicator(rank));
      ranks.leave(rank);
    } catch (...) {
      failures[static_cast<std::size_t>(rank)] = std::current_exception();
      ranks.give_up(rank);
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(failures.size());
    for (int rank = 0; rank < ranks.size(); ++rank) {
      try {
        threads.emplace_back(run, rank);
      } catch (const std::system_error& error) {
        failures[static_cast<std::size_t>(rank)] = std::make_exception_ptr(Error(
            fmt::format("rank {} of {} has no thread: {}", rank, ranks.size(), error.what())));
        ranks.give_up(rank);
        break;
      }
    }
  }
  // Whatever follows the first failure is a consequence.
  const int first = ranks.first_to_fail();
  if (first >= 0) {
    const auto& cause = failures[static_cast<std::size_t>(first)];
    if (cause) std::rethrow_exception(cause);
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace annulus::comm
