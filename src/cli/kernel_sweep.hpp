#pragma once
// What bench kernel times: every combination of some lists.

#include <string>
#include <string_view>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/measure/timed_pass.hpp"
#include "annulus/plan/pass.hpp"
#include "cli/options.hpp"

namespace annulus::cli {

/// One row of the table.
struct KernelCase {
  Problem problem;
  DataType type;
  Pass pass;
  Statistics statistics;
};

/// Lists of the command line, with its defaults.
struct KernelSweep {
  std::vector<Index> lengths{1024, 4096};
  std::vector<Index> head_dims{64, 128};
  std::vector<Index> key_heads{0};  ///< 0: as many as query heads
  std::vector<Mask> masks{Mask::full()};
  std::vector<DataType> precisions{DataType::float32};
  std::vector<Pass> passes{Pass::forward};
  std::vector<Statistics> statistics{Statistics::off};

  /// All combinations; `shape` has what is no list. Those of one group have inputs of one shape and
  /// differ in mask, precision, pass and statistics: what their times are compared for. A backward
  /// pass is there once, without statistics, which are of the forward pass. Throws InputError,
  /// which names the option.
  [[nodiscard]] std::vector<std::vector<KernelCase>> groups(const ShapeOptions& shape) const;
};

/// A named list of sweeps, and how often they run unless something else is asked for.
struct KernelPreset {
  std::vector<KernelSweep> sweeps;
  int repetitions;
  double row_seconds;
};

/// Throws InputError with the list of names.
[[nodiscard]] KernelPreset kernel_preset(std::string_view name);

/// `off` or `on`; throws InputError otherwise.
[[nodiscard]] Statistics parse_statistics(std::string_view name);

}  // namespace annulus::cli
