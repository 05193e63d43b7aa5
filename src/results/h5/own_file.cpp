#include "results/h5/own_file.hpp"

namespace annulus::results::h5 {
namespace {

Handle access_of(const std::string& subject) {
  Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate", subject);
  // From 1.8 on metadata have checksums.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_LATEST),
        "H5Pset_libver_bounds", subject);
  // The file is claimed by its Replacement. Over NFS HDF5's own lock would meet that.
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  check(H5Pset_file_locking(access.get(), /*use_file_locking=*/false, /*ignore_disabled=*/true),
        "H5Pset_file_locking", subject);
#endif
  return access;
}

}  // namespace

Handle create_own_file(const std::string& path, const std::string& subject) {
  const Handle access = access_of(subject);
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "H5Pcreate", subject);
  check(H5Pset_link_creation_order(creation.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "H5Pset_link_creation_order", subject);
  return own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose,
             "H5Fcreate", subject);
}

Handle open_own_file(const std::string& path, const std::string& subject) {
  const Handle access = access_of(subject);
  return own(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "H5Fopen", subject);
}

}  // namespace annulus::results::h5
