#include "results/h5/memory_file.hpp"

namespace annulus::results::h5 {
namespace {

Handle memory_access(const std::string& name) {
  constexpr std::size_t growth = std::size_t{1} << 16;
  Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate", name);
  check(H5Pset_fapl_core(access.get(), growth, /*backing_store=*/0), "H5Pset_fapl_core", name);
  return access;
}

}  // namespace

Handle create_memory_file(const std::string& name) {
  const Handle access = memory_access(name);
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "H5Pcreate", name);
  check(H5Pset_link_creation_order(creation.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "H5Pset_link_creation_order", name);
  return own(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose,
             "H5Fcreate", name);
}

Handle open_memory_file(const std::string& name, std::span<const std::byte> image) {
  const Handle access = memory_access(name);
  // HDF5 copies the image and does not write to this one.
  check(H5Pset_file_image(access.get(), const_cast<std::byte*>(image.data()), image.size()),
        "H5Pset_file_image", name);
  // HDF5 refuses an image under the name of a file that exists.
  const std::string unused_name = name + " (in memory)";
  return own(H5Fopen(unused_name.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "H5Fopen", name);
}

std::vector<std::byte> image_of(const Handle& file, const std::string& name) {
  check(H5Fflush(file.get(), H5F_SCOPE_GLOBAL), "H5Fflush", name);
  const auto size = check(H5Fget_file_image(file.get(), nullptr, 0), "H5Fget_file_image", name);
  std::vector<std::byte> image(static_cast<std::size_t>(size));
  check(H5Fget_file_image(file.get(), image.data(), image.size()), "H5Fget_file_image", name);
  return image;
}

}  // namespace annulus::results::h5
