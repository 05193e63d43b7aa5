#pragma once
// How the ranks of a communicator reach one file.

#include <string>

#include "annulus/comm/communicator.hpp"
#include "results/h5/handle.hpp"

namespace annulus::results::h5 {

/// Ranks that are MPI processes, if more than one, open a file together and transfer collectively;
/// all others open it on their own. access_parallel.cpp and access_serial.cpp implement this for
/// an HDF5 with MPI and one without.
class Access {
 public:
  /// Throws InputError for MPI ranks where HDF5 is not parallel, and for several processes that
  /// something else joins: they share files over the communicator of their host. Borrows
  /// `communicator`.
  explicit Access(comm::Communicator& communicator);

  /// Whether every operation on the file's structure, and every transfer, is collective.
  [[nodiscard]] bool collective() const { return collective_; }

  /// Property list to open or create a file with. The caller holds the Lock.
  [[nodiscard]] Handle file_access() const;
  /// Property list to read or write a dataset with. The caller holds the Lock.
  [[nodiscard]] Handle transfer() const;
  /// Throws Error where the last transfer with `transfer` was not collective though it should have
  /// been. The caller holds the Lock.
  void check_transfer(const Handle& transfer, const std::string& subject) const;

 private:
  comm::Communicator* communicator_;
  bool collective_;
};

/// Part of Access: whether several processes would each open the file.
inline bool several_processes(const comm::Communicator& communicator) {
  return communicator.size() > 1 && !communicator.one_process();
}

/// Part of Access: the refusal of processes that are not joined by MPI.
inline InputError shares_no_files(const comm::Communicator& communicator) {
  return InputError("ranks that " + std::string(communicator.name()) +
                    " joins share no files; give the communicator of their host, such as mpi");
}

}  // namespace annulus::results::h5
