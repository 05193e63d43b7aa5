#include "python/peer_communicator.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/arguments.hpp"
#include "comm/local_region.hpp"
#include "comm/messages_to_itself.hpp"
#include "comm/reduce.hpp"
#include "comm/staged_exchange.hpp"
#include "comm/sum_by_parts.hpp"

namespace annulus::python {
namespace {

/// Runs `call` with the GIL. What Python raises is a failure of the transport, but for what is no
/// error, such as KeyboardInterrupt.
template <class Call>
auto in_python(const std::string& name, Call call) {
  const nb::gil_scoped_acquire gil;
  try {
    return call();
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw comm::CommunicationError(fmt::format("{}: {}", name, nb::str(error.value()).c_str()));
  }
}

/// Memory for Python, which borrows it.
nb::object memory_of(const std::byte* data, std::size_t size) {
  auto* const bytes = const_cast<char*>(reinterpret_cast<const char*>(data));
  return nb::steal(PyMemoryView_FromMemory(bytes, static_cast<Py_ssize_t>(size), PyBUF_WRITE));
}

class PeerExchange final : public comm::Exchange {
 public:
  PeerExchange(std::string name, std::vector<nb::object> transfers)
      : name_(std::move(name)), transfers_(std::move(transfers)) {}
  PeerExchange(const PeerExchange&) = delete;
  PeerExchange& operator=(const PeerExchange&) = delete;
  ~PeerExchange() override {
    if (std::uncaught_exceptions() == exceptions_) {
      try {
        wait();
      } catch (...) {  // who waits for it is told
      }
    }
    const nb::gil_scoped_acquire gil;
    transfers_.clear();
  }

  bool poll() override { return transfers_.empty(); }

  void wait() override {
    if (transfers_.empty()) return;
    in_python(name_, [&] {
      for (const auto& transfer : transfers_) transfer.attr("wait")();
      transfers_.clear();
    });
  }

 private:
  std::string name_;
  std::vector<nb::object> transfers_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

PeerCommunicator::PeerCommunicator(nb::object peers, int rank, int ranks, std::string name,
                                   std::string library)
    : peers_(new Peers{std::move(peers), std::vector<Index>(static_cast<std::size_t>(ranks)),
                       std::vector<Index>(static_cast<std::size_t>(ranks))},
             [](Peers* last) {
               const nb::gil_scoped_acquire gil;
               delete last;
             }),
      rank_(rank),
      topology_{.ranks = ranks},
      name_(std::move(name)),
      library_(std::move(library)),
      exchanges_(start()) {}

PeerCommunicator::PeerCommunicator(const PeerCommunicator& parent, int ranks)
    : peers_(parent.peers_),
      rank_(parent.rank_),
      topology_{.ranks = ranks},
      name_(parent.name_),
      library_(parent.library_),
      exchanges_(start()) {}

comm::ExchangeQueue::Start PeerCommunicator::start() {
  return [this](std::span<const comm::Send> sends, std::span<const comm::Receive> receives) {
    comm::for_each_to_itself(rank_, sends, receives,
                             [](const comm::Send& send, const comm::Receive& receive) {
                               std::ranges::copy(send.data, receive.data.begin());
                             });
    auto transfers = in_python(name_, [&] {
      std::vector<nb::object> started;
      const auto begin = [&](const char* direction, std::vector<Index>& counts, int peer,
                             std::span<const std::byte> bytes) {
        if (peer == rank_ || bytes.empty()) return;
        const Index number = counts[static_cast<std::size_t>(peer)]++;
        started.push_back(
            peers_->object.attr(direction)(peer, memory_of(bytes.data(), bytes.size()), number));
      };
      for (const auto& receive : receives) {
        begin("receive", peers_->received, receive.from, receive.data);
      }
      for (const auto& send : sends) begin("send", peers_->sent, send.to, send.data);
      return started;
    });
    return std::make_unique<PeerExchange>(name_, std::move(transfers));
  };
}

std::unique_ptr<comm::Exchange> PeerCommunicator::exchange(
    std::span<const comm::Send> sends, std::span<const comm::Receive> receives) {
  comm::check_exchange(*this, sends, receives);
  return exchanges_.add(nullptr, sends, receives);
}

std::unique_ptr<comm::Exchange> PeerCommunicator::exchange_on(
    device::Stream& stream, std::span<const comm::Send> sends,
    std::span<const comm::Receive> receives) {
  if (stream.device().kind == DeviceKind::cpu) return exchange(sends, receives);
  comm::check_exchange(*this, sends, receives);
  return std::make_unique<comm::StagedExchange>(exchanges_, stream, sends, receives);
}

void PeerCommunicator::exchange_all(std::span<const std::byte> mine,
                                    std::vector<std::vector<std::byte>>& theirs) {
  std::vector<comm::Send> sends;
  std::vector<comm::Receive> receives;
  for (int peer = 0; peer < size(); ++peer) {
    sends.push_back({peer, mine});
    receives.push_back({peer, theirs[static_cast<std::size_t>(peer)]});
  }
  exchange(sends, receives)->wait();
}

std::vector<std::vector<std::byte>> PeerCommunicator::all_gather(std::span<const std::byte> data) {
  const auto ranks = static_cast<std::size_t>(size());
  std::vector<std::vector<std::byte>> lengths(ranks, std::vector<std::byte>(sizeof(Index)));
  const auto length = static_cast<Index>(data.size());
  exchange_all(std::as_bytes(std::span(&length, 1)), lengths);
  std::vector<std::vector<std::byte>> all(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    Index theirs = 0;
    std::ranges::copy(lengths[rank], std::as_writable_bytes(std::span(&theirs, 1)).begin());
    all[rank].resize(static_cast<std::size_t>(theirs));
  }
  exchange_all(data, all);
  return all;
}

void PeerCommunicator::barrier() {
  static_cast<void>(all_gather({}));
}

void PeerCommunicator::broadcast(std::span<std::byte> data, int root) {
  comm::check_root(*this, root);
  std::vector<comm::Send> sends;
  std::vector<comm::Receive> receives;
  if (rank_ == root) {
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != root) sends.push_back({peer, data});
    }
  } else {
    receives.push_back({root, data});
  }
  exchange(sends, receives)->wait();
}

template <class T>
void PeerCommunicator::reduce(std::span<T> data, comm::Reduction reduction) {
  std::vector<std::vector<std::byte>> all(static_cast<std::size_t>(size()),
                                          std::vector<std::byte>(data.size_bytes()));
  exchange_all(std::as_bytes(data), all);
  std::ranges::copy(all.front(), std::as_writable_bytes(data).begin());
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    comm::accumulate(data, all[rank].data(), reduction);
  }
}

void PeerCommunicator::all_reduce(std::span<double> data, comm::Reduction reduction) {
  if (reduction == comm::Reduction::sum && comm::worth_parts(data.size(), size())) {
    return comm::sum_by_parts(*this, data);
  }
  reduce(data, reduction);
}

void PeerCommunicator::all_reduce(std::span<Index> data, comm::Reduction reduction) {
  reduce(data, reduction);
}

comm::SharedMemory& PeerCommunicator::shared_memory(Index bytes) {
  if (!shared_memory_ || shared_memory_->bytes() < bytes) {
    auto region = comm::make_region(bytes);
    std::vector<comm::SharedMemory::Region> regions{{rank_, region.get()}};
    shared_memory_ = std::make_unique<comm::SharedMemory>(
        rank_, bytes, std::move(regions), std::move(region), std::function<void()>{});
  }
  return *shared_memory_;
}

std::unique_ptr<comm::Communicator> PeerCommunicator::first(int ranks) {
  comm::check_first(*this, ranks);
  if (rank_ >= ranks) return nullptr;
  return std::unique_ptr<Communicator>(new PeerCommunicator(*this, ranks));
}

}  // namespace annulus::python
