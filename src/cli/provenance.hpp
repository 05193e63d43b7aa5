#pragma once
// Where the results of this run come from.

#include <string>

#include "annulus/kernels/kernel.hpp"
#include "annulus/results/provenance.hpp"
#include "cli/command.hpp"

namespace annulus::cli {

/// Collective. `config` is the effective configuration as TOML.
[[nodiscard]] results::Provenance provenance_of(const Context& context, std::string config,
                                                const kernels::Kernel& kernel, int threads);

/// Throws InputError where `output` is the same file as `input`, which would be lost.
void check_not_the_input(const std::string& input, const std::string& output);

}  // namespace annulus::cli
