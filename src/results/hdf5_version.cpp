#include "annulus/results/hdf5_version.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include "results/h5/handle.hpp"

namespace annulus::results {

std::string hdf5_version() {
  const h5::Lock lock;
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  h5::check(H5get_libversion(&major, &minor, &release), "H5get_libversion", "the library");
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace annulus::results
