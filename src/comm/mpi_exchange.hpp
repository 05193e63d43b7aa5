#pragma once
// Messages between MPI processes, of any length.

#include <mpi.h>

#include <exception>
#include <set>
#include <span>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "comm/mpi_watch.hpp"

namespace annulus::comm {

/// Pieces of `largest_message` bytes and a last, shorter one, perhaps of no bytes at all, travel in
/// order, those of one message after those of the one before. The last one of a message is tagged,
/// so that a receiver finds out about any other length at once, instead of waiting for bytes that
/// never come or leaving some for the next exchange.
class MpiExchange final : public Exchange {
 public:
  /// `watch`, which may be null, looks at waits and outlives the exchange.
  MpiExchange(MPI_Comm communicator, int rank, Index largest_message, const MpiWatch* watch,
              std::span<const Send> sends, std::span<const Receive> receives);
  MpiExchange(const MpiExchange&) = delete;
  MpiExchange& operator=(const MpiExchange&) = delete;
  ~MpiExchange() override;

  bool poll() override;
  void wait() override;

 private:
  struct Piece {
    enum class Direction { in, out };
    Direction direction;
    int peer;
    std::size_t bytes;
    int tag;
  };

  void wait_and_watch();
  /// The ranks whose messages have not arrived, or have not left for.
  [[nodiscard]] std::set<int> open_peers() const;
  /// Looks at what completed: `count` entries of `completed_` and `statuses_`, or MPI_UNDEFINED if
  /// nothing was left to complete.
  void settle(int code, int count, const char* call);
  void check_piece(const Piece& piece, MPI_Status& status);
  /// Ends the exchange without its peers: takes back what can be, and lets go of the rest.
  void abandon();

  int rank_;
  const MpiWatch* watch_;
  std::vector<Piece> pieces_;
  std::vector<MPI_Request> requests_;
  std::vector<int> completed_;
  std::vector<MPI_Status> statuses_;
  std::size_t open_ = 0;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
