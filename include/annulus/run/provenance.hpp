#pragma once
// Where the results of this run come from.

#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/results/provenance.hpp"

namespace annulus::run {

/// How this run was asked for.
struct Request {
  std::string command_line;
  std::string config;  ///< the effective configuration as TOML
};

/// Collective over `ranks`; `files` are the same ranks, as they share files.
[[nodiscard]] results::Provenance provenance_of(Request request, comm::Communicator& ranks,
                                                comm::Communicator& files,
                                                const kernels::Kernel& kernel, int threads);

/// Throws InputError where `output` is the same file as `input`, which would be lost.
void check_not_the_input(const std::string& input, const std::string& output);

}  // namespace annulus::run
