#pragma once
// What MPI_Allreduce combines values with, where their order makes no difference.

#include <mpi.h>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// That of whole numbers.
[[nodiscard]] MPI_Op operation_of(Reduction reduction);

/// The maximum or the minimum of doubles, for the length of a scope. MPI has its own, but what they
/// make of a NaN, and of zeros of both signs, is up to the library.
class MpiExtremum {
 public:
  MpiExtremum(Reduction reduction, int rank);
  MpiExtremum(const MpiExtremum&) = delete;
  MpiExtremum& operator=(const MpiExtremum&) = delete;
  ~MpiExtremum() { static_cast<void>(MPI_Op_free(&operation_)); }

  [[nodiscard]] MPI_Op get() const { return operation_; }

 private:
  MPI_Op operation_ = MPI_OP_NULL;
};

}  // namespace annulus::comm
