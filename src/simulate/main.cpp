// annulus_simulate: a pass of the engine on the ranks of a machine that is simulated. Exit codes
// are those of annulus.
#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/base/read_option.hpp"
#include "annulus/run/process.hpp"
#include "cli/table.hpp"
#include "simulate/options.hpp"
#include "simulate/simulation.hpp"

namespace annulus::simulate {
namespace {

struct Spread {
  double least = 0;
  double mean = 0;
  double most = 0;
};

template <class Of>
Spread spread_of(const std::vector<SimulatedRank>& ranks, Of of) {
  Spread spread{.least = of(ranks.front())};
  for (const auto& rank : ranks) {
    spread.least = std::min(spread.least, of(rank));
    spread.mean += of(rank) / static_cast<double>(ranks.size());
    spread.most = std::max(spread.most, of(rank));
  }
  return spread;
}

cli::Table table_of(const Plan& plan, Pass pass, const std::vector<SimulatedRank>& ranks) {
  using cli::cell;
  const auto& problem = plan.problem();
  const auto compute = spread_of(ranks, [](const auto& rank) { return rank.compute_seconds; });
  const auto exposed =
      spread_of(ranks, [](const auto& rank) { return rank.report.exposed_seconds; });
  const auto seconds = spread_of(ranks, [](const auto& rank) { return rank.report.seconds; });
  Index bytes = 0;
  for (const auto& rank : ranks) bytes += rank.report.bytes_sent;
  cli::Table table({"n_q", "n_k", "heads", "key_heads", "head_dim", "mask", "precision", "ranks",
                    "pass", "schedule", "sharding", "simulated_seconds",
                    "simulated_exposed_seconds", "simulated_exposed_seconds_mean",
                    "simulated_compute_seconds_min", "simulated_compute_seconds_mean",
                    "simulated_compute_seconds_max", "bytes_sent"});
  table.add({cell(problem.documents.queries()), cell(problem.documents.keys()),
             cell(problem.query_heads), cell(problem.key_heads), cell(problem.head_dim),
             cell(problem.mask.name()), cell(std::string(name_of(plan.data_type()))),
             cell(Index{plan.ranks()}), cell(std::string(name_of(pass))),
             cell(name_of(plan.schedule())), cell(std::string(name_of(plan.sharding()))),
             cell(seconds.most), cell(exposed.most), cell(exposed.mean), cell(compute.least),
             cell(compute.mean), cell(compute.most), cell(bytes)});
  return table;
}

void print(const Options& options, const Platform& platform, const cli::Table& table) {
  if (!options.json) {
    fmt::print("simulated, platform {}\n{}", platform.name, table.folded_text());
    return;
  }
  const cli::Json json{{"simulated", true}, {"platform", platform.name}, {"rows", table.json()}};
  fmt::print("{}\n", json.dump(2, ' ', false, cli::Json::error_handler_t::replace));
}

int run(int argc, char** argv) {
  CLI::App app{"The engine on simulated ranks: nothing that is printed was measured.",
               "annulus_simulate"};
  app.set_version_flag("--version", fmt::format("annulus {} ({})", version(), git_commit()));
  Options options;
  options.add_to(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::CallForVersion&) {
    fmt::print("{}\n", app.version());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()) + "; --help lists what is known");
  }
  const auto platform = read_option("--platform", [&] { return read_platform(options.platform); });
  const auto plan = options.plan(platform);
  const auto ranks = simulate(platform, plan, options.pass(),
                              {.forward = options.kernel_cost(Pass::forward),
                               .backward = options.kernel_cost(Pass::backward)});
  print(options, platform, table_of(plan, options.pass(), ranks));
  return 0;
}

}  // namespace
}  // namespace annulus::simulate

int main(int argc, char** argv) {
  try {
    return annulus::simulate::run(argc, argv);
  } catch (const annulus::InputError& error) {
    annulus::run::say(error.what());
    return 2;
  } catch (const std::exception& error) {
    annulus::run::say(error.what());
    return 1;
  }
}
