// MPI that is CUDA-aware, as far as the model of a device goes: what an executable has in place of
// the functions of MPI. It is given memory of the host, which that of the model is, and refuses
// what libraries cannot open to other processes, which the staged path must not give it either.
#include <mpi.h>

#include "support/model_device.hpp"

extern "C" {

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag,
              MPI_Comm communicator, MPI_Request* request) {
  if (annulus::test::ModelDevice::any_has_stream_ordered(data)) return MPI_ERR_BUFFER;
  return PMPI_Isend(data, count, type, to, tag, communicator, request);
}

int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm communicator,
              MPI_Request* request) {
  if (annulus::test::ModelDevice::any_has_stream_ordered(data)) return MPI_ERR_BUFFER;
  return PMPI_Irecv(data, count, type, from, tag, communicator, request);
}

}  // extern "C"
