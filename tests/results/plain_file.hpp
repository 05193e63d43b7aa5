#pragma once
// HDF5 files made and read with nothing but the C API.

#include <hdf5.h>

#include <string>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "results/h5/handle.hpp"

namespace annulus::results {

using Dims = std::vector<hsize_t>;

/// A file to be filled with datasets; closed by the destructor. Holds the lock, for other ranks may
/// be threads that still use HDF5.
class PlainFile {
 public:
  explicit PlainFile(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {
    if (file_ < 0) throw Error("cannot make " + path);
  }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;
  ~PlainFile() { H5Fclose(file_); }

  [[nodiscard]] hid_t get() const { return file_; }

  /// Stores `values` as `type`; in compressed chunks of `chunk` where that is not empty.
  PlainFile& put(const std::string& name, const Dims& dims, const std::vector<double>& values,
                 hid_t type = H5T_IEEE_F32LE, const Dims& chunk = {}) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (!chunk.empty()) {
      H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
      H5Pset_deflate(creation, 1);
    }
    const hid_t dataset =
        H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    const herr_t code =
        H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Sclose(space);
    if (dataset < 0 || code < 0) throw Error("cannot write " + name);
    return *this;
  }

 private:
  h5::Lock lock_;
  hid_t file_;
};

/// IEEE binary16, little-endian, as numpy's float16 is stored. The caller holds the lock.
inline hid_t float16_type() {
  static const hid_t type = [] {
    const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    return half;
  }();
  return type;
}

/// A dataset read back, and how it is stored.
struct PlainArray {
  Dims dims;
  std::size_t element_bytes = 0;
  std::vector<double> values;
};

inline PlainArray get_array(const std::string& path, const std::string& name) {
  const h5::Lock lock;
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) throw Error(path + " does not open");
  const hid_t dataset = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
  if (dataset < 0) throw Error(path + " has no " + name);
  const hid_t space = H5Dget_space(dataset);
  const hid_t type = H5Dget_type(dataset);
  PlainArray array;
  array.dims.resize(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, array.dims.data(), nullptr);
  array.element_bytes = H5Tget_size(type);
  array.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  const herr_t code =
      H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data());
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
  if (code < 0) throw Error(path + ": " + name + " cannot be read");
  return array;
}

/// Numbers that tell where they stand and that even fp16 holds exactly.
inline double sample_value(Index element) {
  return static_cast<double>(element % 2039 - 1019);
}

inline std::vector<double> sample_values_of(const Dims& dims, Index shift = 0) {
  Index count = 1;
  for (const hsize_t length : dims) count *= static_cast<Index>(length);
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) values.push_back(sample_value(i + shift));
  return values;
}

}  // namespace annulus::results
