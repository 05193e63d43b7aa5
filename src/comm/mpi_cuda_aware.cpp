// Whether MPI takes memory of CUDA devices.
#include "annulus/comm/mpi.hpp"

#if ANNULUS_MPI_KNOWS_CUDA && __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

namespace annulus::comm {

bool cuda_aware() {
#if ANNULUS_MPI_KNOWS_CUDA
  return MPIX_Query_cuda_support() == 1;
#else
  return false;
#endif
}

}  // namespace annulus::comm
