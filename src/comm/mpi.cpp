#include "annulus/comm/mpi.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "annulus/comm/mpi_alone.hpp"
#include "comm/arguments.hpp"
#include "comm/exchange_queue.hpp"
#include "comm/mpi_call.hpp"
#include "comm/mpi_exchange.hpp"
#include "comm/mpi_reduce.hpp"
#include "comm/mpi_scoped.hpp"
#include "comm/mpi_watch.hpp"
#include "comm/mpi_window.hpp"
#include "comm/reduce.hpp"
#include "comm/staged_exchange.hpp"
#include "comm/sum_by_parts.hpp"

namespace annulus::comm {
namespace {

/// A sum holds this many elements of every rank at a time.
constexpr std::size_t block_elements = 1 << 16;

/// What collective calls go on to use that were left at a timeout.
std::vector<std::array<std::vector<std::byte>, 2>>& left_behind() {
  static std::vector<std::array<std::vector<std::byte>, 2>> all;
  return all;
}

/// A duplicate that returns errors. The original's handler is left as it was.
MPI_Comm duplicate(MPI_Comm borrowed) {
  ensure(borrowed != MPI_COMM_NULL, "a communicator is made from MPI_COMM_NULL");
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  check_mpi(MPI_Comm_get_errhandler(borrowed, &handler), "MPI_Comm_get_errhandler", 0);
  check_mpi(MPI_Comm_set_errhandler(borrowed, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", 0);
  int rank = 0;
  const int rank_code = MPI_Comm_rank(borrowed, &rank);
  MPI_Comm copy = MPI_COMM_NULL;  // it inherits the handler
  const int copy_code = MPI_Comm_dup(borrowed, &copy);
  // SMPI has none where none was set.
  if (handler != MPI_ERRHANDLER_NULL) {
    check_mpi(MPI_Comm_set_errhandler(borrowed, handler), "MPI_Comm_set_errhandler", rank);
    check_mpi(MPI_Errhandler_free(&handler), "MPI_Errhandler_free", rank);
  }
  check_mpi(rank_code, "MPI_Comm_rank", rank);
  check_mpi(copy_code, "MPI_Comm_dup", rank);
  return copy;
}

/// Ranks that share memory are on one node; nodes are numbered in the order of their lowest rank.
Topology find_topology(MPI_Comm communicator, MPI_Comm node, int rank) {
  Topology topology;
  check_mpi(MPI_Comm_size(communicator, &topology.ranks), "MPI_Comm_size", rank);
  int lowest = rank;
  check_mpi(MPI_Bcast(&lowest, 1, MPI_INT, 0, node), "MPI_Bcast", rank);
  topology.node_of.resize(static_cast<std::size_t>(topology.ranks));
  check_mpi(MPI_Allgather(&lowest, 1, MPI_INT, topology.node_of.data(), 1, MPI_INT, communicator),
            "MPI_Allgather", rank);
  std::map<int, int> number_of;
  for (int& of : topology.node_of) {
    of = number_of.try_emplace(of, static_cast<int>(number_of.size())).first->second;
  }
  return topology;
}

/// By rank.
std::vector<std::string> hosts_of(Communicator& ranks) {
  const auto own = host_name();
  std::vector<std::string> hosts;
  for (const auto& bytes : ranks.all_gather(std::as_bytes(std::span(own)))) {
    hosts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return hosts;
}

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm borrowed, Index largest_message, DevicePath device_path,
                                 const Watch& watch)
    : largest_message_(largest_message), device_path_(device_path), watch_(watch) {
  if (largest_message < 1 || largest_message > std::numeric_limits<int>::max()) {
    throw Error(
        fmt::format("mpi: a largest message of {} bytes; expected 1 to 2^31 - 1", largest_message));
  }
  handle_ = duplicate(borrowed);
  check_mpi(MPI_Comm_rank(handle_, &rank_), "MPI_Comm_rank", rank_);
  check_mpi(MPI_Comm_split_type(handle_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_),
            "MPI_Comm_split_type", rank_);
  topology_ = find_topology(handle_, node_, rank_);
  if (watch_.say || watch_.timeout) {
    watcher_ = std::make_unique<MpiWatch>(watch_, hosts_of(*this), rank_);
  }
  exchanges_ = std::make_unique<ExchangeQueue>([this](auto sends, auto receives) {
    return std::make_unique<MpiExchange>(handle_, rank_, largest_message_, watcher_.get(), sends,
                                         receives);
  });
}

MpiCommunicator::~MpiCommunicator() {
  if (under_way_ != MPI_REQUEST_NULL) left_behind().push_back(std::move(copies_));
  // Freeing is collective: a rank that is throwing would wait for those that wait for it.
  if (std::uncaught_exceptions() > exceptions_) return;
  int finalized = 0;
  if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
  // Open MPI goes on with a call in a communicator that was freed, and fails.
  if (under_way_ != MPI_REQUEST_NULL) return;
  shared_memory_.reset();
  static_cast<void>(MPI_Comm_free(&node_));
  static_cast<void>(MPI_Comm_free(&handle_));
}

std::string MpiCommunicator::library() const {
  return mpi_library();
}

std::unique_ptr<Exchange> MpiCommunicator::exchange(std::span<const Send> sends,
                                                    std::span<const Receive> receives) {
  check_exchange(*this, sends, receives);
  return exchanges_->add(nullptr, sends, receives);
}

std::unique_ptr<Exchange> MpiCommunicator::exchange_on(device::Stream& stream,
                                                       std::span<const Send> sends,
                                                       std::span<const Receive> receives) {
  if (stream.device().kind == DeviceKind::cpu) return exchange(sends, receives);
  check_exchange(*this, sends, receives);
  if (device_path_ == DevicePath::staged) {
    return std::make_unique<StagedExchange>(*exchanges_, stream, sends, receives);
  }
  // When MPI is done, the bytes are there: the stream has nothing to wait for.
  return exchanges_->add(stream.record(), sends, receives);
}

template <class Call>
void MpiCommunicator::collective(const char* name, std::span<const std::byte> sent,
                                 std::span<std::byte> received, const Call& call) {
  if (!watch_.timeout || watcher_ == nullptr) {  // it needs the hosts first
    check_mpi(call(sent.data(), received.data(), nullptr), name, rank_);
    return;
  }
  auto& [from, to] = copies_;
  from.assign(sent.begin(), sent.end());
  to.assign(received.begin(), received.end());
  check_mpi(call(from.data(), to.data(), &under_way_), name, rank_);
  const MpiWatch::Wait waiting(*watcher_);
  for (int done = 0; done == 0; waiting.check_timeout()) {
    check_mpi(MPI_Test(&under_way_, &done, MPI_STATUS_IGNORE), "MPI_Test", rank_);
  }
  std::ranges::copy(to, received.begin());
}

void MpiCommunicator::meet() {
  if (watch_.timeout) barrier();
}

void MpiCommunicator::barrier() {
  collective("MPI_Barrier", {}, {}, [&](const void*, void*, MPI_Request* request) {
    return request == nullptr ? MPI_Barrier(handle_) : MPI_Ibarrier(handle_, request);
  });
}

void MpiCommunicator::broadcast(std::span<std::byte> data, int root) {
  check_root(*this, root);
  while (!data.empty()) {
    const auto piece =
        data.first(std::min(data.size(), static_cast<std::size_t>(largest_message_)));
    const int count = static_cast<int>(piece.size());
    collective("MPI_Bcast", {}, piece, [&](const void*, void* bytes, MPI_Request* request) {
      return request == nullptr ? MPI_Bcast(bytes, count, MPI_BYTE, root, handle_)
                                : MPI_Ibcast(bytes, count, MPI_BYTE, root, handle_, request);
    });
    data = data.subspan(piece.size());
  }
}

template <class T>
void MpiCommunicator::gather(std::span<const T> mine, std::span<T> all) {
  const int count = static_cast<int>(mine.size_bytes());
  collective("MPI_Allgather", std::as_bytes(mine), std::as_writable_bytes(all),
             [&](const void* from, void* to, MPI_Request* request) {
               return request == nullptr
                          ? MPI_Allgather(from, count, MPI_BYTE, to, count, MPI_BYTE, handle_)
                          : MPI_Iallgather(from, count, MPI_BYTE, to, count, MPI_BYTE, handle_,
                                           request);
             });
}

void MpiCommunicator::sum_in_order(std::span<double> data) {
  // All ranks' values come to each rank block by block, so that neither counts nor memory overflow.
  const auto ranks = static_cast<std::size_t>(size());
  const std::size_t largest =
      std::clamp(static_cast<std::size_t>(largest_message_) / ranks / sizeof(double),
                 std::size_t{1}, block_elements);
  std::vector<double> all(ranks * std::min(data.size(), largest));
  while (!data.empty()) {
    const auto block = data.first(std::min(data.size(), largest));
    gather<double>(block, std::span(all).first(ranks * block.size()));
    std::copy_n(all.begin(), block.size(), block.begin());
    for (std::size_t from = 1; from < ranks; ++from) {
      const auto values = std::span(all).subspan(from * block.size(), block.size());
      accumulate(block, std::as_bytes(values).data(), Reduction::sum);
    }
    data = data.subspan(block.size());
  }
}

template <class T>
void MpiCommunicator::reduce(std::span<T> data, MPI_Datatype type, MPI_Op operation) {
  const std::size_t largest =
      std::max(static_cast<std::size_t>(largest_message_) / sizeof(T), std::size_t{1});
  while (!data.empty()) {
    const auto block = data.first(std::min(data.size(), largest));
    const int count = static_cast<int>(block.size());
    collective("MPI_Allreduce", {}, std::as_writable_bytes(block),
               [&](const void*, void* numbers, MPI_Request* request) {
                 return request == nullptr
                            ? MPI_Allreduce(MPI_IN_PLACE, numbers, count, type, operation, handle_)
                            : MPI_Iallreduce(MPI_IN_PLACE, numbers, count, type, operation, handle_,
                                             request);
               });
    data = data.subspan(block.size());
  }
}

void MpiCommunicator::all_reduce(std::span<double> data, Reduction reduction) {
  if (reduction == Reduction::sum) {
    return worth_parts(data.size(), size()) ? sum_by_parts(*this, data) : sum_in_order(data);
  }
  const MpiExtremum extremum(reduction, rank_);
  reduce(data, MPI_DOUBLE, extremum.get());
}

void MpiCommunicator::all_reduce(std::span<Index> data, Reduction reduction) {
  reduce(data, MPI_INT64_T, operation_of(reduction));
}

std::vector<std::vector<std::byte>> MpiCommunicator::all_gather(std::span<const std::byte> data) {
  const auto ranks = static_cast<std::size_t>(size());
  std::vector<Index> lengths(ranks);
  const auto mine = static_cast<Index>(data.size());
  gather<Index>(std::span(&mine, 1), lengths);

  // Rounds in which each rank brings at most `share` bytes: counts and offsets fit an int.
  const Index share = std::max(largest_message_ / size(), Index{1});
  std::vector<std::vector<std::byte>> result(ranks);
  std::vector<std::byte> all;
  std::vector<int> counts(ranks);
  std::vector<int> offsets(ranks);
  const Index longest = std::ranges::max(lengths);
  for (Index begin = 0; begin < longest; begin += share) {
    std::ranges::transform(lengths, counts.begin(), [&](Index length) {
      return static_cast<int>(std::clamp(length - begin, Index{0}, share));
    });
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
    all.resize(static_cast<std::size_t>(offsets.back() + counts.back()));
    const int own = counts[static_cast<std::size_t>(rank_)];
    const auto piece = data.subspan(std::min(static_cast<std::size_t>(begin), data.size()))
                           .first(static_cast<std::size_t>(own));
    collective("MPI_Allgatherv", piece, all, [&](const void* from, void* to, MPI_Request* request) {
      return request == nullptr ? MPI_Allgatherv(from, own, MPI_BYTE, to, counts.data(),
                                                 offsets.data(), MPI_BYTE, handle_)
                                : MPI_Iallgatherv(from, own, MPI_BYTE, to, counts.data(),
                                                  offsets.data(), MPI_BYTE, handle_, request);
    });
    for (std::size_t from = 0; from < ranks; ++from) {
      const auto first = all.begin() + offsets[from];
      result[from].insert(result[from].end(), first, first + counts[from]);
    }
  }
  return result;
}

SharedMemory& MpiCommunicator::shared_memory(Index bytes) {
  if (shared_memory_ && shared_memory_->bytes() >= bytes) return *shared_memory_;
  meet();
  shared_memory_.reset();  // first, so that old and new are never there together
  shared_memory_ = make_mpi_window(node_, peers_of(topology_, rank_), rank_, bytes);
  return *shared_memory_;
}

std::unique_ptr<Communicator> MpiCommunicator::first(int ranks) {
  check_first(*this, ranks);
  meet();
  const bool member = rank_ < ranks;
  ScopedMpiComm part;
  check_mpi(MPI_Comm_split(handle_, member ? 0 : MPI_UNDEFINED, rank_, part.out()),
            "MPI_Comm_split", rank_);
  if (!member) return nullptr;
  return std::make_unique<MpiCommunicator>(part.get(), largest_message_, device_path_, watch_);
}

}  // namespace annulus::comm
