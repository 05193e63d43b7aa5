#pragma once
// Whether all that a dataset is stored in is there.

#include <string>

#include "results/h5/handle.hpp"

namespace annulus::results {

/// Throws InputError where the dataset needs a filter that this HDF5 lacks, or that
/// damaged data make it crash with, or where another file
/// that holds a part of it is missing or too short, for which HDF5 would put zeros without a word.
/// `path` is the file with the dataset. The caller holds the Lock.
void check_storage(const h5::Handle& dataset, const std::string& path, const std::string& subject);

}  // namespace annulus::results
