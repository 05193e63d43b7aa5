#pragma once
// A communicator for the length of a scope.

#include <mpi.h>

namespace annulus::comm {

class ScopedMpiComm {
 public:
  ScopedMpiComm() = default;
  ScopedMpiComm(const ScopedMpiComm&) = delete;
  ScopedMpiComm& operator=(const ScopedMpiComm&) = delete;
  ~ScopedMpiComm() {
    if (handle_ != MPI_COMM_NULL) static_cast<void>(MPI_Comm_free(&handle_));
  }

  [[nodiscard]] MPI_Comm get() const { return handle_; }
  /// Where MPI writes a handle.
  [[nodiscard]] MPI_Comm* out() { return &handle_; }

 private:
  MPI_Comm handle_ = MPI_COMM_NULL;
};

}  // namespace annulus::comm
