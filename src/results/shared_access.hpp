#pragma once
// Which ranks can share files.

#include <string>

#include "annulus/base/error.hpp"
#include "annulus/comm/communicator.hpp"

namespace annulus::results {

/// Throws InputError for several processes that their devices alone join: what is told about files
/// is told between hosts.
inline void check_shares_files(const comm::Communicator& communicator) {
  if (communicator.size() == 1 || communicator.one_process() || !communicator.joins_devices()) {
    return;
  }
  throw InputError("ranks that " + std::string(communicator.name()) +
                   " joins share no files; give the communicator of their host, such as mpi");
}

}  // namespace annulus::results
