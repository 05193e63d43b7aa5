#pragma once
// Ranks as MPI processes. Only in builds with MPI.

#include <mpi.h>

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/comm/watch.hpp"

namespace annulus::comm {

/// Whether MPI takes memory of CUDA devices: the answer of MPIX_Query_cuda_support, and false for
/// an MPI that has no such function. MPI must be initialised.
[[nodiscard]] bool cuda_aware();

class ExchangeQueue;
class MpiWatch;

/// How MPI gets at memory of a device.
enum class DevicePath {
  staged,  ///< the bytes go through pinned memory of the host
  direct,  ///< it is given their addresses, of exportable memory, once the host sees that the work
           ///< before is done
};

[[nodiscard]] std::string_view name_of(DevicePath path);

/// What `wish` names, the value of ANNULUS_MPI_DEVICE (staged or direct); null: direct where MPI is
/// CUDA-aware. Throws InputError for any other value, and for direct where MPI is not CUDA-aware.
[[nodiscard]] DevicePath choose_device_path(const char* wish, bool aware);

/// The choice of this process.
[[nodiscard]] DevicePath wished_device_path();

/// Bytes of one MPI call.
inline constexpr Index usual_largest_message = Index{1} << 30;

/// Owns a duplicate of the MPI communicator it is made from, so that its messages meet no others,
/// with errors returned rather than fatal. MPI must be initialised with at least
/// MPI_THREAD_FUNNELED and outlive this object. Collective to make and to destroy; a rank that
/// destroys it because of an exception does not wait for the others. Sums of doubles are added in
/// the order of the ranks, on each of them, so their traffic grows with the number of ranks.
class MpiCommunicator final : public Communicator {
 public:
  /// `largest_message` bytes is what one MPI call carries; longer payloads travel in pieces.
  /// Throws Error unless it is 1 .. 2^31 - 1. `device_path` is the same on all ranks. `watch` is
  /// the same on all ranks; progress of exchanges is seen message by message, and of collective
  /// calls, which may wait for ranks that compute, only the timeout is watched.
  explicit MpiCommunicator(MPI_Comm borrowed, Index largest_message = usual_largest_message,
                           DevicePath device_path = wished_device_path(), const Watch& watch = {});
  ~MpiCommunicator() override;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] const Topology& topology() const override { return topology_; }
  [[nodiscard]] std::string_view name() const override { return "mpi"; }
  [[nodiscard]] std::string library() const override;
  [[nodiscard]] device::Allocation exchanged_memory() const override {
    return device_path_ == DevicePath::direct ? device::Allocation::exportable
                                              : device::Allocation::stream_ordered;
  }
  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override;
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override;
  void barrier() override;
  void broadcast(std::span<std::byte> data, int root) override;
  void all_reduce(std::span<double> data, Reduction reduction) override;
  void all_reduce(std::span<Index> data, Reduction reduction) override;
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override;
  [[nodiscard]] SharedMemory& shared_memory(Index bytes) override;
  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override;

  /// The communicator that this object owns, for libraries that take one.
  [[nodiscard]] MPI_Comm handle() const { return handle_; }

 private:
  /// Runs a collective call of MPI: call(sent, received, request), which returns at once where
  /// there is a request. That is so where there is a timeout, and with copies of what is sent and
  /// received alike, which MPI would go on to use after an Error.
  template <class Call>
  void collective(const char* name, std::span<const std::byte> sent, std::span<std::byte> received,
                  const Call& call);
  /// Before what cannot return at once: waits for all ranks as long as a timeout allows.
  void meet();
  /// As many of each rank, one rank after the other.
  template <class T>
  void gather(std::span<const T> mine, std::span<T> all);
  /// Where the order of the ranks makes a difference.
  void sum_in_order(std::span<double> data);
  /// Where it makes none.
  template <class T>
  void reduce(std::span<T> data, MPI_Datatype type, MPI_Op operation);

  MPI_Comm handle_ = MPI_COMM_NULL;
  MPI_Comm node_ = MPI_COMM_NULL;  // the ranks that share this rank's memory
  /// A collective call that is under way, or that a rank left at the timeout, and its memory.
  MPI_Request under_way_ = MPI_REQUEST_NULL;
  std::array<std::vector<std::byte>, 2> copies_;
  Index largest_message_;
  DevicePath device_path_;
  Watch watch_;
  std::unique_ptr<MpiWatch> watcher_;  // null: nobody is told
  int rank_ = 0;
  Topology topology_;
  std::unique_ptr<ExchangeQueue> exchanges_;
  std::unique_ptr<SharedMemory> shared_memory_;
  int exceptions_ = std::uncaught_exceptions();
};

/// A communicator over the ranks of `borrowed`.
[[nodiscard]] inline MpiCommunicator mpi(MPI_Comm borrowed, const Watch& watch = {}) {
  return MpiCommunicator(borrowed, usual_largest_message, wished_device_path(), watch);
}

}  // namespace annulus::comm
