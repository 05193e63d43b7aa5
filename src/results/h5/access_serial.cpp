#include "results/h5/access.hpp"

namespace annulus::results::h5 {

Access::Access(comm::Communicator& communicator)
    : communicator_(&communicator), collective_(false) {
  if (!several_processes(communicator)) return;
  if (communicator.joins_devices()) throw shares_no_files(communicator);
  throw InputError(
      "--transport mpi with more than one rank needs an HDF5 built with MPI to share files, and "
      "this build's is not; install libhdf5-openmpi-dev and build again, or use --transport "
      "threads:P");
}

Handle Access::file_access() const {
  return own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate", "file access");
}

Handle Access::transfer() const {
  return own(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "H5Pcreate", "transfer");
}

void Access::check_transfer(const Handle& /*transfer*/, const std::string& /*subject*/) const {}

}  // namespace annulus::results::h5
