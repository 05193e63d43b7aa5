#pragma once
// Reads a study's file back through the plain HDF5 API.

#include <hdf5.h>

#include <string>
#include <vector>

#include "annulus/base/error.hpp"

namespace annulus::results {

struct StudyContents {
  std::vector<unsigned char> finished;
  std::vector<double> entropy;
  std::vector<double> output_cosine;
};

template <class T>
std::vector<T> read_array(const std::string& path, const std::string& name, hid_t type) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) throw Error(path + " does not open");
  const hid_t dataset = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
  if (dataset < 0) throw Error(path + " has no " + name);
  const hid_t space = H5Dget_space(dataset);
  std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  const herr_t code = H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
  if (code < 0) throw Error(path + ": " + name + " cannot be read");
  return values;
}

inline StudyContents read_study(const std::string& path) {
  return {read_array<unsigned char>(path, "/depth/finished", H5T_NATIVE_UCHAR),
          read_array<double>(path, "/depth/entropy", H5T_NATIVE_DOUBLE),
          read_array<double>(path, "/depth/output_cosine", H5T_NATIVE_DOUBLE)};
}

}  // namespace annulus::results
