#pragma once
// Ranks as GPUs that NCCL joins. Only in builds with NCCL.

#include <array>
#include <cstddef>
#include <memory>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

class NcclHandle;

/// What the ranks of a communicator have in common: the bytes of an ncclUniqueId.
struct NcclId {
  std::array<std::byte, 128> bytes{};
};

/// An id that no other communicator has. One rank makes it and hands it to the others. Throws
/// Error.
[[nodiscard]] NcclId make_nccl_id();

struct NcclOptions {
  /// How many seconds all ranks may take to come together, and an exchange or a collective once its
  /// turn has come on the device; then it has failed.
  double timeout = 600;
};

/// One rank for each GPU, one NCCL communicator for all, and one stream of each GPU,
/// `stream->transfers()`, on which everything happens in the order in which it was asked for. The
/// GPUs of the ranks differ. Never run on GPUs yet; tested on a model of NCCL.
///
/// exchange_on() is what it is made for: the bytes go from device to device, the host does not wait
/// for them, and only the first exchange between two ranks makes wait() wait until both have asked
/// for it. The messages of one exchange go at a time, in one group of NCCL; exchanges go one after
/// the other. NCCL does not compare lengths: where a receiver expects another one than is sent, the
/// device may wait until the timeout, or what arrives is undefined. Plans make both ends agree.
///
/// exchange() of memory of the host and collectives go through memory of the device, first wait for
/// what is under way on it, and return when all is done: there, the peers have to call them as
/// well, with all messages between them in the same call. exchange() tells both ends where lengths
/// differ.
///
/// A failure of NCCL, or of a peer where NCCL notices, and a timeout abort the communicator, and
/// are an Error, here and in all later calls. A rank that drops an exchange under way because of an
/// exception aborts as well; one that drops its communicator does so unless the others do the same
/// within two seconds. Peers that NCCL does not tell end after their timeout.
class NcclCommunicator final : public Communicator {
 public:
  /// Collective over all ranks of `topology`, each with the same `id`. Keeps `stream`, which is of
  /// the rank's GPU, alive. Where `topology` does not say which ranks share a node, those that run
  /// on one host do. Throws InputError where `stream` is not of a GPU, for a rank or a topology
  /// that makes no sense, and a timeout that is not positive.
  NcclCommunicator(const NcclId& id, Topology topology, int rank,
                   std::shared_ptr<device::Stream> stream, const NcclOptions& options = {});
  ~NcclCommunicator() override;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] const Topology& topology() const override { return topology_; }
  [[nodiscard]] std::string_view name() const override { return "nccl"; }
  [[nodiscard]] bool joins_devices() const override { return true; }
  [[nodiscard]] std::string library() const override;
  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override;
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override;
  void check() override;
  void barrier() override;
  void broadcast(std::span<std::byte> data, int root) override;
  void all_reduce(std::span<double> data, Reduction reduction) override;
  void all_reduce(std::span<Index> data, Reduction reduction) override;
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override;
  /// Throws InputError: GPUs share no memory. The schedule ring needs none.
  [[nodiscard]] SharedMemory& shared_memory(Index bytes) override;
  /// All ranks share the NCCL communicator of this one; fewer get one of their own.
  [[nodiscard]] std::unique_ptr<Communicator> first(int ranks) override;

 private:
  NcclCommunicator(std::shared_ptr<NcclHandle> handle, Topology topology, int rank);

  template <class T>
  void reduce(std::span<T> data, Reduction reduction);

  std::shared_ptr<NcclHandle> handle_;
  Topology topology_;
  int rank_;
};

/// A communicator over the ranks of `host`, by which they learn its id, and on the same nodes.
/// Collective. Keeps `stream` alive. Does not use `host` any more once it is made.
[[nodiscard]] std::unique_ptr<Communicator> nccl(Communicator& host,
                                                 std::shared_ptr<device::Stream> stream,
                                                 const NcclOptions& options = {});

/// The same for ranks that learn of `id` in another way.
[[nodiscard]] std::unique_ptr<Communicator> nccl(const NcclId& id, int ranks, int rank,
                                                 std::shared_ptr<device::Stream> stream,
                                                 const NcclOptions& options = {});

/// The GPU for each rank of `host`: its place on its node among those that it sees, as the backend
/// cuda has it. Collective. Throws InputError, on every rank, where a rank sees no GPU, or two
/// would share one, which NCCL does not allow.
[[nodiscard]] Device nccl_device(Communicator& host);

}  // namespace annulus::comm
