#include "run/launch.hpp"

#include <cstdlib>

#include "annulus/base/read_option.hpp"
#include "base/range.hpp"

namespace annulus::run {
namespace {

struct Variables {
  const char* processes;  ///< null: it does not say
  const char* rank;
  /// Whether rank 0 alone is no sign of other processes: a batch script is one.
  bool scripts_have_rank = false;
};

// A launcher within an allocation or a shell of another comes first.
constexpr Variables launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                   {"PMI_SIZE", "PMI_RANK"},
                                   {nullptr, "PALS_RANKID"},
                                   {"FLUX_JOB_SIZE", "FLUX_TASK_RANK"},
                                   {nullptr, "PMIX_RANK"},
                                   {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", true}};

std::optional<int> read_variable(const char* name, int least) {
  const char* value = name == nullptr ? nullptr : std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return read_option(name, [&] { return read_number(value, WholeRange<int>{.least = least}); });
}

}  // namespace

Launch read_launch() {
  for (const auto& variables : launchers) {
    const auto processes = read_variable(variables.processes, 1);
    const auto rank = read_variable(variables.rank, 0);
    if (!processes && (!rank || (variables.scripts_have_rank && *rank == 0))) continue;
    return {processes, rank, variables.rank};
  }
  return {};
}

}  // namespace annulus::run
