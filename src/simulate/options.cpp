#include "simulate/options.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/plan/topology.hpp"
#include "cli/option_value.hpp"

namespace annulus::simulate {
namespace {

constexpr WholeRange<int> rank_counts{1, 1 << 20};
constexpr RealRange durations{.least = 0, .most = 1};

/// The numbers of a KernelCost, each an option.
struct CostOption {
  const char* name;
  double KernelCost::*seconds;
  const char* of;
};
constexpr std::array<CostOption, 5> cost_options{{
    {"--per-pair", &KernelCost::per_pair, "a pair of a query and a key, and head"},
    {"--per-query", &KernelCost::per_query, "a query row and head in a call"},
    {"--per-key", &KernelCost::per_key, "a key row and head in a call"},
    {"--per-row", &KernelCost::per_row, "a query row and head in a pass"},
    {"--per-call", &KernelCost::per_call, "a call"},
}};

}  // namespace

void Options::add_to(CLI::App& app) {
  app.add_option("--platform", platform,
                 "file of the machine's nodes and links, see configs/platforms")
      ->type_name("FILE")
      ->required();
  cli::add_number(app, "--ranks", ranks, rank_counts, "ranks to simulate")
      ->default_str(fmt::format("{}", ranks));
  shape.add_to(app);
  execution.add_plan_to(app);
  app.add_flag("--backward", backward, "the backward pass in place of the forward pass");
  for (const auto& option : cost_options) {
    cli::add_number(app, option.name, given_.*option.seconds, durations,
                    fmt::format("seconds of {}", option.of))
        ->default_str("as the machine");
  }
  app.add_flag("--json", json, "machine-readable output");
}

PlanOptions Options::plan_options(Pass of) const {
  auto options = execution.plan_options(of, 1);
  options.peer_memory = PeerMemory::separate;
  if (!options.machine) {
    options.machine = std::make_shared<const Machine>(default_machine(options.peer_memory));
  }
  return options;
}

Plan Options::plan(const Platform& on) const {
  if (ranks > on.ranks()) {
    throw InputError(fmt::format("--ranks: {}; platform {} has {}", ranks, on.name, on.ranks()));
  }
  const auto per_node = std::min<Index>(on.ranks_per_node, ranks);
  auto plan = make_plan(shape.problem(), even_topology(ranks, static_cast<int>(per_node)),
                        plan_options(pass()));
  if (plan.reads_in_place()) {
    throw InputError(fmt::format(
        "--schedule: {} reads the memory of peers, which simulated ranks do not; expected another",
        name_of(plan.schedule())));
  }
  return plan;
}

KernelCost Options::kernel_cost(Pass of) const {
  const auto problem = shape.problem();
  auto cost = annulus::kernel_cost(*plan_options(of).machine, execution.precision, of,
                                   problem.head_dim, problem.output_dim());
  for (const auto& option : cost_options) {
    if (given_.*option.seconds >= 0) cost.*option.seconds = given_.*option.seconds;
  }
  return cost;
}

}  // namespace annulus::simulate
