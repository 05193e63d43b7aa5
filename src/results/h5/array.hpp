#pragma once
// Datasets: making them, and moving regular parts of them.

#include <span>
#include <string>
#include <vector>

#include "annulus/base/data_type.hpp"
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

/// Makes a dataset of `type` and shape `dims`, where fp64 ones begin as NaN and others as 0.
[[nodiscard]] Handle create_dataset(hid_t parent, const std::string& name, hid_t type,
                                    std::span<const hsize_t> dims);

[[nodiscard]] Handle open_dataset(hid_t parent, const std::string& name);

/// The lengths of the dimensions.
[[nodiscard]] std::vector<hsize_t> dims_of(const Handle& dataset, const std::string& name);

/// The dataspace of `dataset` with only `slab` selected.
[[nodiscard]] Handle select(const Handle& dataset, const Slab& slab, const std::string& name);

/// A group, made with its links in order of creation.
[[nodiscard]] Handle create_group(hid_t parent, const std::string& name);

}  // namespace annulus::results::h5
