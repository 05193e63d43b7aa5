#include "cli/plan_ranking.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "annulus/plan/cost.hpp"
#include "plan/some_of.hpp"
#include "plan/step_seconds.hpp"

namespace annulus::cli {
namespace {

/// What transfers and memory come to, going by some ranks.
struct Load {
  Index bytes_sent = 0;    // by all ranks
  Index memory_bytes = 0;  // the most that a rank holds
};

Load load_of(const Plan& plan, Pass pass, int asked) {
  Load load;
  double sent = 0;
  const auto ranks = some_of(plan.ranks(), asked);
  for (const int rank : ranks) {
    const auto forward = plan.program(rank);
    const auto program = pass == Pass::forward ? forward : plan.backward_program(rank, forward);
    sent += static_cast<double>(bytes_sent(plan, program));
    load.memory_bytes =
        std::max(load.memory_bytes, memory_of(plan, rank, pass, forward, program).total());
  }
  load.bytes_sent = std::llround(sent / static_cast<double>(ranks.size()) * plan.ranks());
  return load;
}

}  // namespace

PlanRanking::PlanRanking(const Problem& problem, const Topology& topology, PlanOptions options)
    : options_(std::move(options)),
      ranks_(topology.ranks),
      table_({"schedule", "sharding", "seconds", "exposed_seconds", "bytes_sent", "memory_bytes",
              "why"}) {
  // Ranks that are asked for their bytes; programs of very many steps take a while.
  const int asked = ranks_ <= 64 ? ranks_ : ranks_ <= 4096 ? 8 : 2;
  const auto candidates = rank_plans(problem, topology, options_);
  for (const auto& candidate : candidates) {
    const auto& [plan, prediction] = candidate;
    const auto load = load_of(plan, options_.pass, asked);
    if (&candidate == &candidates.front()) sends_nothing_ = load.bytes_sent == 0;
    table_.add({cell(name_of(plan.schedule())), cell(std::string(name_of(plan.sharding()))),
                cell(prediction.seconds), cell(prediction.exposed_seconds, 3),
                cell(load.bytes_sent), cell(load.memory_bytes), cell(reason(prediction))});
  }
  const auto& documents = problem.documents;
  const bool scales = documents.count() == 1 && documents.self_attention();
  hidden_from_ = scales ? hidden_from(candidates.front(), topology, options_) : -1;
  per_node_ = node_sizes(topology).most;
}

std::string PlanRanking::text() const {
  const auto& machine = *options_.machine;
  const std::string_view unit = machine.memory == PeerMemory::shared ? "core" : "GPU";
  const double cores = cores_of_rank(machine, options_.threads, per_node_);
  const auto shared = cores < options_.threads
                          ? fmt::format(", {} on the {} of a node", per_node_, machine.cores)
                          : std::string();
  auto text =
      fmt::format("predicted for {} ({}), {} pass, {} rank{} of {} {}{}{}\n{}", machine.name,
                  machine.source, name_of(options_.pass), ranks_, ranks_ == 1 ? "" : "s",
                  options_.threads, unit, options_.threads == 1 ? "" : "s", shared, table_.text());
  if (hidden_from_ > 0 && sends_nothing_) {
    text += "\nthe first one sends nothing\n";
  } else if (hidden_from_ > 0) {
    text += fmt::format(
        "\ntransfers of the first one hide from about {} rows a rank on (a length of {})\n",
        ceil_div(hidden_from_, ranks_), hidden_from_);
  } else if (hidden_from_ == 0) {
    text += "\ntransfers of the first one hide at no length\n";
  }
  return text;
}

Json PlanRanking::json() const {
  Json json{{"machine", options_.machine->name},
            {"source", options_.machine->source},
            {"pass", name_of(options_.pass)},
            {"rank_count", ranks_},
            {"threads", options_.threads}};
  json["hidden_from_length"] = hidden_from_ > 0 ? Json(hidden_from_) : Json();
  json["rows"] = table_.json();
  return json;
}

}  // namespace annulus::cli
