#include "results/h5/array.hpp"

#include <algorithm>
#include <limits>

namespace annulus::results::h5 {

hid_t native_type(DataType type) {
  ensure(type == DataType::float32 || type == DataType::float64, "files have fp32 or fp64 numbers");
  const Lock lock;  // the names of types are calls into HDF5
  return type == DataType::float32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
}

Handle create_dataset(hid_t parent, const std::string& name, hid_t type,
                      std::span<const hsize_t> dims, Initially initially) {
  const Handle space = own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                           H5Sclose, "H5Screate_simple", name);
  const Handle links = own(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "H5Pcreate", name);
  check(H5Pset_create_intermediate_group(links.get(), 1), "H5Pset_create_intermediate_group", name);
  const Handle creation = own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate", name);
  check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time", name);
  if (initially == Initially::undefined) {
    check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time", name);
  } else if (check(H5Tequal(type, H5T_NATIVE_DOUBLE), "H5Tequal", name) > 0) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    check(H5Pset_fill_value(creation.get(), H5T_NATIVE_DOUBLE, &nan), "H5Pset_fill_value", name);
  }
  return own(
      H5Dcreate2(parent, name.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT),
      H5Dclose, "H5Dcreate2", name);
}

Index offset_of(const Handle& dataset, const std::string& name) {
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset != HADDR_UNDEF) return static_cast<Index>(offset);
  H5Eclear2(H5E_DEFAULT);
  const auto dims = dims_of(dataset, name);
  if (std::ranges::find(dims, hsize_t{0}) != dims.end()) return 0;
  throw Error(name + " is not stored in one piece");
}

Handle open_dataset(hid_t parent, const std::string& name) {
  return own(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose, "H5Dopen2", name);
}

std::vector<hsize_t> dims_of(const Handle& dataset, const std::string& name) {
  const Handle space = own(H5Dget_space(dataset.get()), H5Sclose, "H5Dget_space", name);
  const int rank =
      check(H5Sget_simple_extent_ndims(space.get()), "H5Sget_simple_extent_ndims", name);
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), "H5Sget_simple_extent_dims",
        name);
  return dims;
}

Handle select(const Handle& dataset, const Slab& slab, const std::string& name) {
  Handle space = own(H5Dget_space(dataset.get()), H5Sclose, "H5Dget_space", name);
  check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, slab.start.data(), slab.stride.data(),
                            slab.count.data(), nullptr),
        "H5Sselect_hyperslab", name);
  return space;
}

Handle create_group(hid_t parent, const std::string& name) {
  const Handle creation = own(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "H5Pcreate", name);
  check(H5Pset_link_creation_order(creation.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "H5Pset_link_creation_order", name);
  return own(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose,
             "H5Gcreate2", name);
}

}  // namespace annulus::results::h5
