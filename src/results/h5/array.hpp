#pragma once
// Datasets: making them, and moving regular parts of them.

#include <span>
#include <string>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"
#include "results/h5/handle.hpp"

namespace annulus::results::h5 {

/// HDF5's name for fp32 or fp64 numbers in memory.
[[nodiscard]] hid_t native_type(DataType type);

// The caller of the rest holds the Lock.

/// Part of an array: `count` elements along each dimension, `stride` apart, from `start`.
struct Slab {
  std::vector<hsize_t> start;
  std::vector<hsize_t> stride;
  std::vector<hsize_t> count;
};

/// What a new dataset holds.
enum class Initially {
  filled,     ///< NaN where it is fp64, else 0
  undefined,  ///< whatever is there: all will be written
};

/// Makes a dataset of `type` and shape `dims`, in one piece, which has its place in the file at
/// once; with the groups that `name` goes through.
[[nodiscard]] Handle create_dataset(hid_t parent, const std::string& name, hid_t type,
                                    std::span<const hsize_t> dims,
                                    Initially initially = Initially::filled);

/// Bytes from the start of the file to the first element; 0 where there are none. Throws Error
/// where the dataset is not stored in one piece.
[[nodiscard]] Index offset_of(const Handle& dataset, const std::string& name);

[[nodiscard]] Handle open_dataset(hid_t parent, const std::string& name);

/// The lengths of the dimensions.
[[nodiscard]] std::vector<hsize_t> dims_of(const Handle& dataset, const std::string& name);

/// The dataspace of `dataset` with only `slab` selected.
[[nodiscard]] Handle select(const Handle& dataset, const Slab& slab, const std::string& name);

/// A group, made with its links in order of creation.
[[nodiscard]] Handle create_group(hid_t parent, const std::string& name);

}  // namespace annulus::results::h5
