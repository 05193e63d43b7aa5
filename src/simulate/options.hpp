#pragma once
// What annulus_simulate is asked.

#include <string>

#include "annulus/plan/machine.hpp"
#include "cli/options.hpp"
#include "simulate/platform.hpp"

namespace annulus::simulate {

struct Options {
  std::string platform;  ///< a file
  int ranks = 8;
  cli::ShapeOptions shape;
  cli::ExecutionOptions execution;  ///< how it is planned
  bool backward = false;
  bool json = false;

  void add_to(CLI::App& app);
  [[nodiscard]] Pass pass() const { return backward ? Pass::backward : Pass::forward; }
  /// The plan for these ranks of `platform`. Throws InputError where it has fewer, or options do
  /// not go together.
  [[nodiscard]] Plan plan(const Platform& on) const;
  /// What the kernel of a rank takes in a pass.
  [[nodiscard]] KernelCost kernel_cost(Pass of) const;

 private:
  /// With the machine that is asked for, or what stands for one whose ranks share no memory.
  [[nodiscard]] PlanOptions plan_options(Pass of) const;

  /// What replaces the machine's; below 0 where nothing does.
  KernelCost given_{.per_pair = -1, .per_query = -1, .per_key = -1, .per_row = -1, .per_call = -1};
};

}  // namespace annulus::simulate
