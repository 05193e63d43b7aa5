#include "annulus/comm/mpi.hpp"
#include "results/h5/access.hpp"

namespace annulus::results::h5 {

Access::Access(comm::Communicator& communicator)
    : communicator_(&communicator),
      collective_(communicator.size() > 1 &&
                  dynamic_cast<comm::MpiCommunicator*>(&communicator) != nullptr) {
  if (several_processes(communicator) && !collective_) throw shares_no_files(communicator);
}

Handle Access::file_access() const {
  Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate", "file access");
  if (collective_) {
    const auto& mpi = dynamic_cast<comm::MpiCommunicator&>(*communicator_);
    check(H5Pset_fapl_mpio(access.get(), mpi.handle(), MPI_INFO_NULL), "H5Pset_fapl_mpio",
          "file access");
  }
  return access;
}

Handle Access::transfer() const {
  Handle transfer = own(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "H5Pcreate", "transfer");
  if (collective_) {
    check(H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE), "H5Pset_dxpl_mpio", "transfer");
  }
  return transfer;
}

void Access::check_transfer(const Handle& transfer, const std::string& subject) const {
  if (!collective_) return;
  H5D_mpio_actual_io_mode_t mode{};
  check(H5Pget_mpio_actual_io_mode(transfer.get(), &mode), "H5Pget_mpio_actual_io_mode", subject);
  if (mode == H5D_MPIO_CONTIGUOUS_COLLECTIVE || mode == H5D_MPIO_CHUNK_COLLECTIVE ||
      mode == H5D_MPIO_CHUNK_MIXED) {
    return;
  }
  std::uint32_t local = 0;
  std::uint32_t global = 0;
  check(H5Pget_mpio_no_collective_cause(transfer.get(), &local, &global),
        "H5Pget_mpio_no_collective_cause", subject);
  throw Error(subject + ": HDF5 did not transfer collectively (cause " + std::to_string(global) +
              " of H5D_mpio_no_collective_cause_t)");
}

}  // namespace annulus::results::h5
