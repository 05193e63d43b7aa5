#pragma once
// An input file that is looked at before any rank reads rows.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/results/array_layout.hpp"
#include "results/dataset_storage.hpp"
#include "results/h5/array.hpp"
#include "results/h5/attribute.hpp"

namespace annulus::results {

using Dims = std::vector<hsize_t>;

/// A file whose every complaint is an InputError that begins with its name. The caller holds the
/// Lock.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path) {
    std::error_code code;
    const auto status = std::filesystem::status(path, code);
    if (!std::filesystem::exists(status)) refuse("there is no such file");
    if (!std::filesystem::is_regular_file(status)) refuse("not a file; expected an HDF5 file");
    file_ = h5::Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (file_.get() < 0) {
      refuse(fmt::format("cannot be opened as an HDF5 file ({})", h5::innermost_error()));
    }
  }

  [[noreturn]] void refuse(const std::string& complaint) const {
    throw InputError(fmt::format("{}: {}", path_, complaint));
  }

  [[nodiscard]] bool has(const std::string& name) const {
    return h5::check(H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT), "H5Lexists",
                     path_ + ": /" + name) > 0;
  }

  /// Opens a dataset of numbers of the class: H5T_FLOAT or H5T_INTEGER.
  [[nodiscard]] h5::Handle open(const std::string& name, H5T_class_t kind) const {
    if (!has(name)) refuse(fmt::format("there is no dataset /{}; expected /q, /k and /v", name));
    h5::Handle dataset(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
    if (dataset.get() < 0) {
      refuse(fmt::format("/{} cannot be opened as a dataset ({})", name, h5::innermost_error()));
    }
    const auto type = h5::own(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type", name);
    if (H5Tget_class(type.get()) != kind) {
      refuse(fmt::format("/{} holds another type; expected {}", name,
                         kind == H5T_FLOAT ? "floating-point numbers" : "integers (int64)"));
    }
    constexpr std::size_t most_bytes = 16;
    if (const auto bytes = H5Tget_size(type.get()); bytes > most_bytes) {
      refuse(fmt::format("/{} holds numbers of {} bytes; expected at most {}", name, bytes,
                         most_bytes));
    }
    return dataset;
  }

  [[nodiscard]] Dims dims(const std::string& name) const {
    return h5::dims_of(open(name, H5T_FLOAT), name);
  }

  /// Whether all of an array of numbers is there, see check_storage.
  void check_array(const std::string& name) const {
    check_storage(open(name, H5T_FLOAT), path_, path_ + ": /" + name);
  }

  /// What the attribute `layout` of an array says, if it has one.
  [[nodiscard]] std::optional<ArrayLayout> layout(const std::string& name) const {
    const auto dataset = open(name, H5T_FLOAT);
    if (!h5::has_attribute(dataset.get(), "layout")) return std::nullopt;
    try {
      return parse_array_layout(h5::read_text(dataset.get(), "layout"));
    } catch (const Error& error) {
      refuse(fmt::format("/{}: attribute layout: {}", name, error.what()));
    }
  }

  /// All of a small one-dimensional dataset.
  template <class T>
  [[nodiscard]] std::vector<T> read(const std::string& name, H5T_class_t kind, hid_t type) const {
    const auto dataset = open(name, kind);
    const auto dims = h5::dims_of(dataset, name);
    if (dims.size() != 1) {
      refuse(fmt::format("/{} has shape {}; expected one dimension", name, shape_text(dims)));
    }
    constexpr hsize_t most_of_a_byte = 1032;  // that deflate makes of it
    hsize_t bytes = 0;
    h5::check(H5Fget_filesize(file_.get(), &bytes), "H5Fget_filesize", path_);
    if (dims[0] / most_of_a_byte > bytes) {
      refuse(fmt::format("/{} has {} entries; expected no more than the file can hold", name,
                         dims[0]));
    }
    std::vector<T> values(dims[0]);
    h5::check(H5Dread(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "H5Dread",
              path_ + ": /" + name);
    return values;
  }

  [[nodiscard]] static std::string shape_text(const Dims& dims) {
    return fmt::format("({}{})", fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
  }

  void expect(const std::string& name, const Dims& dims, const Dims& expected,
              const std::string& meaning) const {
    if (dims == expected) return;
    refuse(fmt::format("/{} has shape {}; expected {} = {}", name, shape_text(dims),
                       shape_text(expected), meaning));
  }

 private:
  std::string path_;
  h5::Handle file_;
};

}  // namespace annulus::results
