#pragma once
// Transport: asynchronous exchange with peers, and a few collectives.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/comm/shared_memory.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/topology.hpp"

namespace annulus::comm {

/// Bytes for another rank. Borrowed; must stay unchanged until the exchange is done.
struct Send {
  int to;
  std::span<const std::byte> data;
};

/// Where bytes from another rank go. Borrowed. The sender sends exactly as many bytes.
struct Receive {
  int from;
  std::span<std::byte> data;
};

/// An exchange under way, which does not outlive its communicator. Its destructor waits, so that
/// buffers are never in use after it.
class Exchange {
 public:
  virtual ~Exchange() = default;
  /// Lets the transfer make progress; true once it is done. Throws Error where it failed.
  virtual bool poll() = 0;
  /// Returns when the transfer is done. Throws Error where it failed.
  virtual void wait() = 0;
};

enum class Reduction { sum, maximum, minimum };

/// A group of ranks. Every member function but the first few is collective or paired: all ranks
/// (or both peers) call it in the same order. Calls come from one thread per rank. Failures throw
/// Error; a rank that throws away its communicator ends the others' waits with an Error.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual const Topology& topology() const = 0;
  /// The name of the transport: self, threads, mpi, nccl.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The library behind it and its version; empty where there is none.
  [[nodiscard]] virtual std::string library() const { return {}; }

  /// Whether all ranks are in this process.
  [[nodiscard]] virtual bool one_process() const { return false; }
  /// Whether the ranks are GPUs: what they compute with has to lie there.
  [[nodiscard]] virtual bool joins_devices() const { return false; }
  /// What exchange_on is given memory of.
  [[nodiscard]] virtual device::Allocation exchanged_memory() const {
    return device::Allocation::stream_ordered;
  }

  [[nodiscard]] int size() const { return topology().ranks; }

  /// Starts to send `sends` and to receive `receives`; what it returns is done when all of them
  /// are. Copies the lists, which may be empty, and borrows the bytes. Throws Error, or the
  /// exchange does, where a peer does not exist, and on the receiver at least where the lengths of
  /// both differ.
  ///
  /// Any number of exchanges may be under way. Order is all the naming there is: of what one rank
  /// sends to another, the n-th message is the n-th that the other receives from it, counted over
  /// exchanges in the order in which they are started and over the list of each. In which order
  /// they are polled and waited for is free, and all that a rank has started make progress while it
  /// polls or waits for any of them. What a rank sends to itself it receives in the same call, as
  /// many messages and of the same lengths.
  ///
  /// All ranks start their exchanges in an order in which they could be completed one after the
  /// other, as some transports do: two messages that need each other, as those of two ranks that
  /// swap something, are in one exchange on both.
  ///
  /// Where an exception destroys an exchange under way, the rank does not wait for its peers, and
  /// its messages may be lost: it has thrown the communicator away, see above.
  [[nodiscard]] virtual std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                           std::span<const Receive> receives) = 0;

  /// The same between memory of the device of `stream`, allocated as exchanged_memory() says; both
  /// peers call this one, with the same kind of device. The transfer starts after the work that is
  /// enqueued there by now, and what is enqueued there once wait() has returned comes after it,
  /// although the device may not have come so far. Borrows `stream`, until the exchange is gone.
  /// After that, even where it failed, memory that is freed on `stream` is not in use any more.
  [[nodiscard]] virtual std::unique_ptr<Exchange> exchange_on(
      device::Stream& stream, std::span<const Send> sends, std::span<const Receive> receives) = 0;

  /// At most one message in each direction.
  [[nodiscard]] std::unique_ptr<Exchange> exchange(const std::optional<Send>& send,
                                                   const std::optional<Receive>& receive) {
    return exchange(list_of(send), list_of(receive));
  }
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      const std::optional<Send>& send,
                                                      const std::optional<Receive>& receive) {
    return exchange_on(stream, list_of(send), list_of(receive));
  }

  /// Throws Error where the transport knows that an exchange on a device has failed whose wait()
  /// has returned; called now and then while the host waits for the device.
  virtual void check() {}

  virtual void barrier() = 0;
  /// `data` of `root` goes to all; the same length everywhere.
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  /// Element-wise over ranks, in place; the same length and the same bits on every rank and every
  /// transport: sums of doubles are added in the order of the ranks. A NaN is the maximum and the
  /// minimum of whatever it meets.
  virtual void all_reduce(std::span<double> data, Reduction reduction) = 0;
  virtual void all_reduce(std::span<Index> data, Reduction reduction) = 0;
  /// Everybody's bytes, by rank; lengths may differ.
  [[nodiscard]] virtual std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) = 0;

  /// Collective, with the same `bytes` everywhere. Memory of the ranks of this rank's node, at
  /// least so many bytes for each of them, to pass things between them. What it holds is left over
  /// from its last use. It is the communicator's, and valid until the next call: one that asks for
  /// more may replace it.
  [[nodiscard]] virtual SharedMemory& shared_memory(Index bytes) = 0;

  /// A communicator of ranks 0 .. ranks - 1, or null on the others. Collective. The new one does
  /// not outlive this one.
  [[nodiscard]] virtual std::unique_ptr<Communicator> first(int ranks) = 0;

 private:
  template <class Message>
  [[nodiscard]] static std::span<const Message> list_of(const std::optional<Message>& message) {
    return {message ? &*message : nullptr, message ? 1U : 0U};
  }
};

}  // namespace annulus::comm
