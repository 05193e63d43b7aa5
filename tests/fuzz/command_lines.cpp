// Options of a shape and of how it is computed, an argument in each line, and the plan for them.
#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "fuzz/fuzz.hpp"

namespace {

/// In the order in which the parser takes them, the last first.
std::vector<std::string> arguments_of(std::string_view text) {
  std::vector<std::string> arguments{""};
  for (const char c : text) {
    if (c == '\n') {
      arguments.emplace_back();
    } else {
      arguments.back() += c;
    }
  }
  std::ranges::reverse(arguments);
  return arguments;
}

}  // namespace

void annulus::fuzz::read(std::string_view text) {
  CLI::App app{"", "annulus"};
  cli::ShapeOptions shape;
  cli::ExecutionOptions execution;
  shape.add_to(app);
  execution.add_to(app);
  try {
    app.parse(arguments_of(text));
  } catch (const CLI::Error&) {  // what the parser itself refuses, and --help
    return;
  }
  const auto problem = shape.problem();
  constexpr Index most_documents = 100;
  if (problem.documents.count() > most_documents) return;
  const auto plan = make_plan(problem, {.ranks = 3}, execution.plan_options());
  ensure(cost_of(plan).area >= 0, "areas do not overflow");
  ensure(cost_of(plan, Pass::backward).bytes_sent >= 0, "bytes do not overflow");
}
