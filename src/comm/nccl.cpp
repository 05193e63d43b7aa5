#include "annulus/comm/nccl.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "annulus/comm/agreement.hpp"
#include "annulus/comm/error.hpp"
#include "annulus/comm/libraries.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/arguments.hpp"
#include "comm/completed_exchange.hpp"
#include "comm/nccl_call.hpp"
#include "comm/nccl_exchange.hpp"
#include "comm/nccl_handle.hpp"
#include "comm/nccl_library.hpp"
#include "comm/nccl_topology.hpp"
#include "comm/reduce.hpp"
#include "comm/sum_by_parts.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;
using device::RowCopy;

/// Most bytes of all ranks that a collective holds at a time.
constexpr std::size_t most_bytes = std::size_t{64} << 20;

/// all_reduce holds this many elements of every rank at a time.
constexpr std::size_t block_elements = 1 << 16;

void check_arguments(const Topology& topology, int rank, const device::Stream* stream,
                     const NcclOptions& options) {
  if (topology.ranks < 1 || rank < 0 || rank >= topology.ranks) {
    throw InputError(
        fmt::format("nccl: rank {} of {}; expected 0 or more, and less than their "
                    "number",
                    rank, topology.ranks));
  }
  static_cast<void>(ranks_of_nodes(topology));
  if (stream == nullptr || stream->device().kind != DeviceKind::cuda) {
    throw InputError("nccl: joins GPUs; expected a stream of device cuda");
  }
  if (!(options.timeout > 0)) {
    throw InputError(fmt::format("nccl: a timeout of {} s; expected more than 0", options.timeout));
  }
}

/// Collective. Bytes of every rank, as many of each, one rank after the other.
std::vector<std::byte> gather(NcclHandle& handle, std::span<const std::byte> mine) {
  std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(handle.ranks()));
  if (all.empty()) return all;
  handle.drain();
  const Buffer from(handle.stream(), mine.size());
  const Buffer to(handle.stream(), all.size());
  handle.stream()->upload(RowCopy::of_bytes(from.data(), mine.data(), mine.size()));
  handle.run("a collective of nccl", [&] { handle.gather(from.bytes(), to.data()); });
  handle.stream()->download(RowCopy::of_bytes(all.data(), to.data(), all.size()));
  return all;
}

/// Collective.
std::vector<std::vector<std::byte>> gather_all(NcclHandle& handle,
                                               std::span<const std::byte> data) {
  const auto ranks = static_cast<std::size_t>(handle.ranks());
  const std::size_t mine = data.size();
  const auto bytes = gather(handle, std::as_bytes(std::span(&mine, 1)));
  std::vector<std::size_t> lengths(ranks);
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(lengths)).begin());

  // Rounds in which each rank brings equally much, filled up where it has less.
  const std::size_t share = std::max<std::size_t>(most_bytes / ranks, 1);
  const std::size_t longest = std::ranges::max(lengths);
  std::vector<std::vector<std::byte>> result(ranks);
  for (std::size_t begin = 0; begin < longest; begin += share) {
    const std::size_t width = std::min(share, longest - begin);
    const auto part_of = [&](std::size_t length) {
      return std::min(width, length - std::min(begin, length));
    };
    std::vector<std::byte> padded(width);
    std::ranges::copy(data.subspan(std::min(begin, mine), part_of(mine)), padded.begin());
    const auto all = gather(handle, padded);
    for (std::size_t from = 0; from < ranks; ++from) {
      const auto part = std::span(all).subspan(from * width, part_of(lengths[from]));
      result[from].insert(result[from].end(), part.begin(), part.end());
    }
  }
  return result;
}

}  // namespace

NcclId make_nccl_id() {
  ncclUniqueId unique;
  check_nccl(nccl_functions().get_unique_id(&unique), "ncclGetUniqueId", 0);
  NcclId id;
  std::ranges::copy(std::as_bytes(std::span(unique.internal)), id.bytes.begin());
  return id;
}

NcclCommunicator::NcclCommunicator(const NcclId& id, Topology topology, int rank,
                                   std::shared_ptr<device::Stream> stream,
                                   const NcclOptions& options)
    : topology_(std::move(topology)), rank_(rank) {
  check_arguments(topology_, rank, stream.get(), options);
  handle_ = std::make_shared<NcclHandle>(id, topology_.ranks, rank, std::move(stream), options);
  if (topology_.node_of.empty()) {
    topology_.node_of = nodes_of_hosts(gather_all(*handle_, this_host()));
  }
}

NcclCommunicator::NcclCommunicator(std::shared_ptr<NcclHandle> handle, Topology topology, int rank)
    : handle_(std::move(handle)), topology_(std::move(topology)), rank_(rank) {}

NcclCommunicator::~NcclCommunicator() = default;

std::string NcclCommunicator::library() const {
  return "NCCL " + nccl_version();
}

std::unique_ptr<Exchange> NcclCommunicator::exchange(std::span<const Send> sends,
                                                     std::span<const Receive> receives) {
  check_exchange(*this, sends, receives);
  if (!sends.empty() || !receives.empty()) exchange_on_hosts(*handle_, sends, receives);
  return std::make_unique<CompletedExchange>();
}

std::unique_ptr<Exchange> NcclCommunicator::exchange_on(device::Stream& stream,
                                                        std::span<const Send> sends,
                                                        std::span<const Receive> receives) {
  const auto here = handle_->stream()->device();
  if (stream.device().kind == DeviceKind::cpu) return exchange(sends, receives);
  if (stream.device().index != here.index) {
    throw CommunicationError(
        fmt::format("nccl: rank {} has GPU {}, and is asked for an exchange on GPU {}", rank_,
                    here.index, stream.device().index));
  }
  check_exchange(*this, sends, receives);
  return std::make_unique<NcclExchange>(handle_, stream, sends, receives);
}

void NcclCommunicator::check() {
  handle_->advance();
}

void NcclCommunicator::barrier() {
  static_cast<void>(gather(*handle_, std::array{std::byte{}}));
}

void NcclCommunicator::broadcast(std::span<std::byte> data, int root) {
  check_root(*this, root);
  const Buffer there(handle_->stream(), std::min(data.size(), most_bytes));
  while (!data.empty()) {
    handle_->drain();
    const auto piece = data.first(std::min(data.size(), there.size()));
    const auto place = there.bytes().first(piece.size());
    if (rank_ == root) {
      handle_->stream()->upload(RowCopy::of_bytes(place.data(), piece.data(), piece.size()));
    }
    handle_->run("a collective of nccl", [&] { handle_->broadcast(place, root); });
    if (rank_ != root) {
      handle_->stream()->download(RowCopy::of_bytes(piece.data(), place.data(), piece.size()));
    }
    data = data.subspan(piece.size());
  }
}

template <class T>
void NcclCommunicator::reduce(std::span<T> data, Reduction reduction) {
  // All ranks' values come to each rank, which adds them in the order of the ranks.
  while (!data.empty()) {
    const auto block = data.first(std::min(data.size(), block_elements));
    const auto all = gather(*handle_, std::as_bytes(block));
    std::copy_n(all.begin(), block.size_bytes(), std::as_writable_bytes(block).begin());
    for (std::size_t at = block.size_bytes(); at < all.size(); at += block.size_bytes()) {
      accumulate(block, all.data() + at, reduction);
    }
    data = data.subspan(block.size());
  }
}

void NcclCommunicator::all_reduce(std::span<double> data, Reduction reduction) {
  if (reduction == Reduction::sum && worth_parts(data.size(), size()))
    return sum_by_parts(*this, data);
  reduce(data, reduction);
}

void NcclCommunicator::all_reduce(std::span<Index> data, Reduction reduction) {
  reduce(data, reduction);
}

std::vector<std::vector<std::byte>> NcclCommunicator::all_gather(std::span<const std::byte> data) {
  return gather_all(*handle_, data);
}

SharedMemory& NcclCommunicator::shared_memory(Index /*bytes*/) {
  throw InputError("nccl: ranks that it joins share no memory; schedule ring needs none");
}

std::unique_ptr<Communicator> NcclCommunicator::first(int ranks) {
  check_first(*this, ranks);
  auto handle = ranks == size() ? handle_ : handle_->split(ranks);
  if (handle == nullptr) return nullptr;
  auto topology = topology_;
  topology.ranks = ranks;
  topology.node_of.resize(static_cast<std::size_t>(ranks));
  return std::unique_ptr<Communicator>(
      new NcclCommunicator(std::move(handle), std::move(topology), rank_));
}

std::unique_ptr<Communicator> nccl(Communicator& host, std::shared_ptr<device::Stream> stream,
                                   const NcclOptions& options) {
  NcclId id;
  on_root(host, [&] { id = make_nccl_id(); });
  host.broadcast(id.bytes, 0);
  return std::make_unique<NcclCommunicator>(id, host.topology(), host.rank(), std::move(stream),
                                            options);
}

std::unique_ptr<Communicator> nccl(const NcclId& id, int ranks, int rank,
                                   std::shared_ptr<device::Stream> stream,
                                   const NcclOptions& options) {
  return std::make_unique<NcclCommunicator>(id, Topology{.ranks = ranks}, rank, std::move(stream),
                                            options);
}

}  // namespace annulus::comm
