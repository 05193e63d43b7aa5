#include "annulus/comm/mpi_session.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "annulus/base/error.hpp"
#include "comm/mpi_call.hpp"

namespace annulus::comm {
namespace {

bool under_way() {
  int initialized = 0;
  int finalized = 0;
  return MPI_Initialized(&initialized) == MPI_SUCCESS && initialized != 0 &&
         MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0;
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided_), "MPI_Init_thread", 0);
  if (provided_ < MPI_THREAD_FUNNELED) {
    static_cast<void>(MPI_Finalize());
    throw Error("MPI provides thread level SINGLE; expected FUNNELED or more");
  }
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank", 0);
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size", rank_);
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &verdict_), "MPI_Comm_dup", rank_);
  check_mpi(MPI_Comm_set_errhandler(verdict_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", rank_);
}

bool MpiSession::joined_by_all(std::chrono::milliseconds patience) {
  MPI_Request barrier = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(verdict_, &barrier) != MPI_SUCCESS) return false;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    int done = 0;
    if (MPI_Test(&barrier, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (done != 0) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

MpiSession::~MpiSession() {
  if (!under_way()) return;
  if (std::uncaught_exceptions() > exceptions_) abort(EXIT_FAILURE);
  static_cast<void>(MPI_Finalize());
}

std::string_view MpiSession::thread_level() const {
  if (provided_ == MPI_THREAD_MULTIPLE) return "MULTIPLE";
  if (provided_ == MPI_THREAD_SERIALIZED) return "SERIALIZED";
  return "FUNNELED";
}

void MpiSession::abort(int code) {
  static_cast<void>(std::fflush(nullptr));
  if (under_way()) static_cast<void>(MPI_Abort(MPI_COMM_WORLD, code));
  std::_Exit(code);
}

}  // namespace annulus::comm
