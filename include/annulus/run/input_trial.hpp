#pragma once
// A damaged input does not take the run with it.

#include <string>

#include "annulus/results/attention_input.hpp"

namespace annulus::run {

/// Reads in a child process what the file at `path` says of itself, and the first and the last row
/// of every array, as a run will; a file that is not there is left to the run. Throws InputError
/// for what AttentionInput refuses, and where the child crashes or does not end, as HDF5 does with
/// some damaged files. To be called before MPI, threads or a GPU are in use, of which the child
/// shall have nothing.
void try_input(const std::string& path, const results::AttentionInput::Options& options);

}  // namespace annulus::run
