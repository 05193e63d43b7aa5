#include "results/dataset_storage.hpp"

#include <array>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

namespace fs = std::filesystem;

void check_filters(hid_t creation, const std::string& subject) {
  const int count = h5::check(H5Pget_nfilters(creation), "H5Pget_nfilters", subject);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    std::array<char, 64> name{};
    unsigned config = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, name.size(), name.data(), &config);
    // These read beyond what they are given where that is damaged.
    const bool trusts = filter == H5Z_FILTER_NBIT || filter == H5Z_FILTER_SCALEOFFSET;
    if (filter >= 0 && H5Zfilter_avail(filter) > 0 && !trusts) continue;
    throw InputError(fmt::format(
        "{} was written with the filter {} ('{}'), which {}; expected none, gzip or szip", subject,
        filter, name.data(), trusts ? "HDF5 cannot undo safely" : "this HDF5 does not have"));
  }
}

/// Raw files beside an HDF5 file, each of which holds the next bytes of the dataset.
void check_external_files(hid_t creation, hsize_t bytes, const std::string& subject) {
  const int count = h5::check(H5Pget_external_count(creation), "H5Pget_external_count", subject);
  for (int i = 0; i < count; ++i) {
    std::array<char, 4096> name{};
    off_t offset = 0;
    hsize_t length = 0;
    h5::check(H5Pget_external(creation, static_cast<unsigned>(i), name.size(), name.data(), &offset,
                              &length),
              "H5Pget_external", subject);
    const hsize_t needed = std::min(bytes, length);
    std::error_code missing;
    const auto size = fs::file_size(name.data(), missing);
    if (missing || size < static_cast<hsize_t>(offset) + needed) {
      throw InputError(fmt::format(
          "{} is stored in {}, which {}; expected {} bytes in it", subject, name.data(),
          missing ? "cannot be read: " + missing.message() : fmt::format("has {} bytes", size),
          static_cast<hsize_t>(offset) + needed));
    }
    bytes -= needed;
  }
}

std::string text_of(ssize_t (*get)(hid_t, std::size_t, char*, std::size_t), hid_t creation,
                    std::size_t index, const std::string& subject) {
  const auto length = h5::check(get(creation, index, nullptr, 0), "H5Pget_virtual", subject);
  std::string text(static_cast<std::size_t>(length), '\0');
  h5::check(get(creation, index, text.data(), text.size() + 1), "H5Pget_virtual", subject);
  return text;
}

bool has_dataset(const fs::path& path, const std::string& name) {
  const h5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (file.get() < 0) return false;
  const h5::Handle dataset(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  return dataset.get() >= 0;
}

/// Datasets in this or other files, of which a virtual one is put together.
void check_virtual_sources(hid_t creation, const fs::path& path, const std::string& subject) {
  std::size_t count = 0;
  h5::check(H5Pget_virtual_count(creation, &count), "H5Pget_virtual_count", subject);
  for (std::size_t i = 0; i < count; ++i) {
    const auto file = text_of(H5Pget_virtual_filename, creation, i, subject);
    const auto name = text_of(H5Pget_virtual_dsetname, creation, i, subject);
    // HDF5 looks beside the virtual dataset, then in the working folder; "." is the file itself.
    const bool there =
        file == "." ? has_dataset(path, name)
                    : has_dataset(path.parent_path() / file, name) || has_dataset(file, name);
    if (there) continue;
    throw InputError(fmt::format(
        "{} is virtual, and its source {} in {} cannot be read; expected every source of it to be "
        "there",
        subject, name, file));
  }
}

}  // namespace

void check_storage(const h5::Handle& dataset, const std::string& path, const std::string& subject) {
  const auto creation =
      h5::own(H5Dget_create_plist(dataset.get()), H5Pclose, "H5Dget_create_plist", subject);
  check_filters(creation.get(), subject);
  const auto layout = h5::check(H5Pget_layout(creation.get()), "H5Pget_layout", subject);
  if (layout == H5D_VIRTUAL) check_virtual_sources(creation.get(), path, subject);
  if (layout != H5D_CONTIGUOUS) return;
  const auto space = h5::own(H5Dget_space(dataset.get()), H5Sclose, "H5Dget_space", subject);
  const auto type = h5::own(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type", subject);
  const auto elements =
      h5::check(H5Sget_simple_extent_npoints(space.get()), "H5Sget_extent", subject);
  check_external_files(creation.get(), static_cast<hsize_t>(elements) * H5Tget_size(type.get()),
                       subject);
}

}  // namespace annulus::results
