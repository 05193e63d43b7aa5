#include "annulus/comm/mpi_session.hpp"

#include <mpi.h>

#include <cstdio>
#include <cstdlib>

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
