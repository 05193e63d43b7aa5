#include "comm/mpi_exchange.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/mpi_call.hpp"

namespace annulus::comm {
namespace {

constexpr int more_follows = 0;
constexpr int last_piece = 1;

/// Calls `visit(piece of data, tag)` for each piece.
template <class Byte, class Visit>
void for_each_piece(std::span<Byte> data, std::size_t largest, const Visit& visit) {
  while (data.size() > largest) {
    visit(data.first(largest), more_follows);
    data = data.subspan(largest);
  }
  visit(data, last_piece);
}

}  // namespace

MpiExchange::MpiExchange(MPI_Comm communicator, int rank, Index largest_message,
                         const MpiWatch* watch, std::span<const Send> sends,
                         std::span<const Receive> receives)
    : rank_(rank), watch_(watch) {
  const auto largest = static_cast<std::size_t>(largest_message);
  const auto add = [&](Piece piece, int code, MPI_Request request, const char* call) {
    check_mpi(code, call, rank_);
    pieces_.push_back(piece);
    requests_.push_back(request);
    ++open_;
  };
  try {
    // Receives first, so that messages find their buffers.
    for (const auto& [from, data] : receives) {
      for_each_piece(data, largest, [&, from = from](std::span<std::byte> piece, int tag) {
        MPI_Request request = MPI_REQUEST_NULL;
        const int code = MPI_Irecv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, from,
                                   MPI_ANY_TAG, communicator, &request);
        add({Piece::Direction::in, from, piece.size(), tag}, code, request, "MPI_Irecv");
      });
    }
    for (const auto& [to, data] : sends) {
      for_each_piece(data, largest, [&, to = to](std::span<const std::byte> piece, int tag) {
        MPI_Request request = MPI_REQUEST_NULL;
        const int code = MPI_Isend(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, to, tag,
                                   communicator, &request);
        add({Piece::Direction::out, to, piece.size(), tag}, code, request, "MPI_Isend");
      });
    }
  } catch (...) {
    abandon();
    throw;
  }
  completed_.resize(requests_.size());
  statuses_.resize(requests_.size());
}

MpiExchange::~MpiExchange() {
  if (open_ == 0) return;
  // A rank that is throwing must not wait for peers that may be waiting for it: its front end ends
  // the job.
  if (std::uncaught_exceptions() > exceptions_) {
    abandon();
    return;
  }
  try {
    wait();
  } catch (const Error&) {
    // abandoned by then
  }
}

bool MpiExchange::poll() {
  if (open_ == 0) return true;
  int count = 0;
  const int code = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count,
                                completed_.data(), statuses_.data());
  settle(code, count, "MPI_Testsome");
  return open_ == 0;
}

void MpiExchange::wait() {
  if (watch_ != nullptr) return wait_and_watch();
  while (open_ > 0) {
    int count = 0;
    const int code = MPI_Waitsome(static_cast<int>(requests_.size()), requests_.data(), &count,
                                  completed_.data(), statuses_.data());
    settle(code, count, "MPI_Waitsome");
  }
}

void MpiExchange::wait_and_watch() {
  MpiWatch::Wait waiting(*watch_);
  for (auto before = open_; !poll(); before = open_) {
    if (open_ < before) {
      waiting.progressed();
      continue;
    }
    try {
      waiting.look([this] { return open_peers(); });
    } catch (...) {
      abandon();
      throw;
    }
  }
}

std::set<int> MpiExchange::open_peers() const {
  std::set<int> peers;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] != MPI_REQUEST_NULL) peers.insert(pieces_[i].peer);
  }
  return peers;
}

void MpiExchange::settle(int code, int count, const char* call) {
  try {
    if (code != MPI_ERR_IN_STATUS) check_mpi(code, call, rank_);
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<std::size_t>(completed_[static_cast<std::size_t>(i)]);
      auto& status = statuses_[static_cast<std::size_t>(i)];
      --open_;
      if (code == MPI_ERR_IN_STATUS) check_mpi(status.MPI_ERROR, call, rank_);
      check_piece(pieces_[index], status);
    }
  } catch (...) {
    abandon();
    throw;
  }
}

void MpiExchange::check_piece(const Piece& piece, MPI_Status& status) {
  if (piece.direction == Piece::Direction::out) return;
  int bytes = 0;
  check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count", rank_);
  if (static_cast<std::size_t>(bytes) == piece.bytes && status.MPI_TAG == piece.tag) return;
  throw CommunicationError(
      fmt::format("rank {} expects {} from rank {}, which sends {} bytes{}", rank_,
                  piece.tag == last_piece ? fmt::format("{} last bytes", piece.bytes)
                                          : fmt::format("{} bytes and more", piece.bytes),
                  piece.peer, bytes, status.MPI_TAG == last_piece ? ", its last" : " and more"));
}

void MpiExchange::abandon() {
  open_ = 0;
  int finalized = 0;
  if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    // A receive can be taken back. A message that was sent cannot, only be forgotten. Codes are of
    // no use here: something worse has failed before.
    if (pieces_[i].direction == Piece::Direction::in) {
      static_cast<void>(MPI_Cancel(&requests_[i]));
      static_cast<void>(MPI_Wait(&requests_[i], MPI_STATUS_IGNORE));
    } else {
      static_cast<void>(MPI_Request_free(&requests_[i]));
    }
  }
}

}  // namespace annulus::comm
