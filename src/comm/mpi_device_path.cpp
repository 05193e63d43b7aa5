// How MPI gets at memory of CUDA devices, and whether it can.
#include <cstdlib>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
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

std::string_view name_of(DevicePath path) {
  return path == DevicePath::direct ? "direct" : "staged";
}

DevicePath choose_device_path(const char* wish, bool aware) {
  const auto best = aware ? DevicePath::direct : DevicePath::staged;
  if (wish == nullptr) return best;
  for (const auto path : {DevicePath::staged, DevicePath::direct}) {
    if (wish != name_of(path)) continue;
    if (path == DevicePath::staged || aware) return path;
    throw InputError("ANNULUS_MPI_DEVICE=direct: this MPI is not CUDA-aware; expected staged");
  }
  throw InputError(fmt::format("ANNULUS_MPI_DEVICE={}: expected staged or direct", wish));
}

DevicePath wished_device_path() {
  return choose_device_path(std::getenv("ANNULUS_MPI_DEVICE"), cuda_aware());
}

}  // namespace annulus::comm
