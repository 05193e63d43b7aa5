// annulus plan: who holds, sends and computes what.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/plan/cost.hpp"
#include "annulus/plan/format.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/plan_ranking.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

constexpr WholeRange<int> rank_counts{1, 1 << 20};

Json json_of(const Shard& shard) {
  Json runs = Json::array();
  for (const auto& run : shard) {
    runs.push_back({{"document", run.document},
                    {"first", run.first},
                    {"stride", run.stride},
                    {"count", run.count}});
  }
  return runs;
}

Json json_of(const Item& item) {
  Json rows = Json::array();
  for (const auto& [begin, end] : item.rows.intervals()) {
    rows.push_back({{"begin", begin}, {"end", end}});
  }
  return {{"what", name_of(item.what)},
          {"owner", item.owner},
          {"rows", std::move(rows)},
          {"heads", {{"begin", item.heads.begin}, {"end", item.heads.end}}}};
}

Json json_of(const Plan& plan, const std::vector<Transfer>& transfers, const char* peer) {
  Json all = Json::array();
  for (const auto& transfer : transfers) {
    auto json = json_of(transfer.item);
    json[peer] = transfer.peer;
    json["due"] = transfer.due;
    json["bytes"] = plan.bytes(transfer.item);
    all.push_back(std::move(json));
  }
  return all;
}

Json json_of(const Plan& plan, int rank, const Program& program) {
  Json steps = Json::array();
  for (const auto& step : program.steps) {
    Json computes = Json::array();
    for (const auto& compute : step.computes) {
      for (const auto& queries : compute.queries) {
        for (const auto& keys : compute.keys) {
          if (plan.blocks({queries, keys, compute.holder}).empty()) continue;
          auto json = json_of(keys);
          json["queries"] = json_of(queries);
          json["holder"] = compute.holder;
          computes.push_back(std::move(json));
        }
      }
    }
    steps.push_back({{"computes", std::move(computes)},
                     {"sends", json_of(plan, step.sends, "to")},
                     {"receives", json_of(plan, step.receives, "from")}});
  }
  return {{"rank", rank},
          {"queries", json_of(plan.query_shard(rank))},
          {"keys", json_of(plan.key_shard(rank))},
          {"steps", std::move(steps)}};
}

/// What is said of the cost of a rank.
struct Quantity {
  const char* name;
  double (*of)(const RankCost& cost);
};
constexpr std::array<Quantity, 9> quantities{{
    {"area", [](const RankCost& cost) { return static_cast<double>(cost.area); }},
    {"flops", [](const RankCost& cost) { return cost.flops; }},
    {"bytes_sent", [](const RankCost& cost) { return static_cast<double>(cost.bytes_sent); }},
    {"messages_sent", [](const RankCost& cost) { return static_cast<double>(cost.messages_sent); }},
    {"input_bytes", [](const RankCost& cost) { return static_cast<double>(cost.memory.inputs); }},
    {"output_bytes", [](const RankCost& cost) { return static_cast<double>(cost.memory.outputs); }},
    {"state_bytes", [](const RankCost& cost) { return static_cast<double>(cost.memory.state); }},
    {"buffer_bytes", [](const RankCost& cost) { return static_cast<double>(cost.memory.buffers); }},
    {"memory_bytes", [](const RankCost& cost) { return static_cast<double>(cost.memory.total()); }},
}};

/// A whole number where it is one.
Cell number_cell(double value) {
  constexpr double exact = 1e15;
  if (value == std::floor(value) && value < exact) return cell(static_cast<Index>(value));
  return cell(value);
}

Table cost_table(const std::vector<int>& ranks, const std::vector<RankCost>& costs) {
  std::vector<std::string> columns{"rank"};
  for (const auto& quantity : quantities) columns.emplace_back(quantity.name);
  Table table(std::move(columns));
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    std::vector<Cell> row{cell(static_cast<Index>(ranks[i]))};
    for (const auto& [name, of] : quantities) {
      row.push_back(std::string_view(name) == "flops" ? cell(of(costs[i]))
                                                      : number_cell(of(costs[i])));
    }
    table.add(std::move(row));
  }
  return table;
}

/// Least, mean and most over the ranks that were asked.
Table spread_table(const PlanCost& cost) {
  Table table({"per_rank", "least", "mean", "most"});
  for (const auto& [name, of] : quantities) {
    double least = of(cost.ranks.front());
    double most = least;
    double sum = 0;
    for (const auto& rank : cost.ranks) {
      least = std::min(least, of(rank));
      most = std::max(most, of(rank));
      sum += of(rank);
    }
    table.add({cell(std::string(name)), cell(least),
               cell(sum / static_cast<double>(cost.ranks.size())), cell(most)});
  }
  return table;
}

/// Prints what a rank holds and does, a line a step; of many steps those at both ends.
void print_text(const Plan& plan, int rank, const Program& program, std::size_t most_steps) {
  fmt::print("{}\n", to_string(plan, rank));
  const auto& steps = program.steps;
  for (std::size_t at = 0; at < steps.size(); ++at) {
    if (steps.size() > most_steps && at == most_steps / 2) {
      const std::size_t left_out = steps.size() - most_steps;
      fmt::print("  ... {} more steps: --rank {}\n", left_out, rank);
      at += left_out;
    }
    fmt::print("  step {}: {}\n", at, to_string(plan, rank, steps[at]));
  }
}

/// A few ranks that show what a plan does: the first, the last, and one in the middle.
std::vector<int> some_ranks(int ranks) {
  if (ranks <= 4) {
    std::vector<int> all(static_cast<std::size_t>(ranks));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  return {0, ranks / 2, ranks - 1};
}

class PlanCommand final : public Command {
 public:
  void add_options(CLI::App& app) override {
    shape_.add_to(app);
    add_number(app, "--ranks", ranks_, rank_counts, "ranks to plan for")
        ->default_str(fmt::format("{}", ranks_));
    add_number(app, "--ranks-per-node", per_node_, rank_counts,
               "ranks that share the memory of a node; at most --ranks")
        ->default_str(fmt::format("{}", per_node_));
    execution_.add_plan_to(app);
    add_number(app, "--threads", threads_, WholeRange<int>{1, 4096},
               "cores that a rank computes with; default: those of a node of --machine, shared by "
               "its ranks; of GPUs, one");
    app.add_flag("--backward", backward_, "the backward pass");
    add_number(app, "--rank", rank_, WholeRange<int>{0, rank_counts.most - 1},
               "the program of one rank, step by step");
    app.add_flag("--all-ranks", all_ranks_, "the programs and costs of all ranks");
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  void check() const override {
    if (per_node_ > ranks_) {
      throw InputError(fmt::format("--ranks-per-node: '{}'; expected 1 to the {} of --ranks",
                                   per_node_, ranks_));
    }
    if (rank_ && *rank_ >= ranks_) {
      throw InputError(fmt::format("--rank: '{}'; expected 0 to {}, as --ranks is {}", *rank_,
                                   ranks_ - 1, ranks_));
    }
    if (rank_ && all_ranks_) throw InputError("--rank and --all-ranks: expected one of them");
    (void)shape_.problem();
    (void)plan_options();
  }

  int run(const Context& context) const override {
    const auto topology = even_topology(ranks_, per_node_);
    const auto options = plan_options();
    if (!execution_.machine.empty() && !rank_ && !all_ranks_) {
      const PlanRanking ranking(shape_.problem(), topology, options);
      if (context.json) {
        print(ranking.json());
      } else {
        fmt::print("{}", ranking.text());
      }
      return 0;
    }
    const auto plan = make_plan(shape_.problem(), topology, options);
    if (rank_) {
      print_rank(plan, context);
    } else {
      print_plan(plan, context);
    }
    return 0;
  }

 private:
  [[nodiscard]] Pass pass() const { return backward_ ? Pass::backward : Pass::forward; }

  [[nodiscard]] PlanOptions plan_options() const {
    auto options = execution_.plan_options(pass(), threads_.value_or(1));
    if (options.machine) {
      const auto& machine = *options.machine;
      const bool gpus = machine.memory == PeerMemory::separate;
      options.peer_memory = machine.memory;
      if (gpus && threads_.value_or(1) > 1) {
        throw InputError(fmt::format(
            "--threads: '{}'; --machine {} is one of GPUs, of which a rank computes with one",
            *threads_, machine.name));
      }
      if (!threads_ && !gpus) options.threads = std::max(1, machine.cores / per_node_);
    }
    return options;
  }

  [[nodiscard]] Json json_of_plan(const Plan& plan) const {
    return {{"schedule", name_of(plan.schedule())},
            {"sharding", name_of(plan.sharding())},
            {"key_sharding", name_of(plan.key_sharding())},
            {"precision", name_of(plan.data_type())},
            {"pass", name_of(pass())},
            {"rank_count", plan.ranks()},
            {"step_count", plan.step_count()}};
  }

  void print_rank(const Plan& plan, const Context& context) const {
    const auto forward = plan.program(*rank_);
    const auto backward = backward_ ? plan.backward_program(*rank_, forward) : Program{};
    const auto& program = backward_ ? backward : forward;
    const auto table = cost_table({*rank_}, {cost_of(plan, *rank_, pass(), forward, program)});
    if (context.json) {
      auto json = json_of_plan(plan);
      json["programs"] = Json::array({json_of(plan, *rank_, program)});
      json["ranks"] = table.json();
      print(json);
      return;
    }
    fmt::print("{}\n", to_string(plan));
    print_text(plan, *rank_, program, std::numeric_limits<std::size_t>::max());
    fmt::print("\n{}", table.text());
  }

  void print_plan(const Plan& plan, const Context& context) const {
    constexpr int asked = 64;
    constexpr std::size_t most_steps = 8;
    const auto cost = cost_of(plan, pass(), all_ranks_ ? plan.ranks() : asked);
    const auto shown = all_ranks_ ? cost.asked : some_ranks(plan.ranks());
    const auto table = cost_table(cost.asked, cost.ranks);
    if (context.json) {
      auto json = json_of_plan(plan);
      json["programs"] = Json::array();
      for (const int rank : shown)
        json["programs"].push_back(json_of(plan, rank, plan.program(rank, pass())));
      json["ranks"] = table.json();
      json["area"] = cost.area;
      json["flops"] = cost.flops;
      json["bytes_sent"] = cost.bytes_sent;
      json["balance"] = cost.balance;
      json["exact"] = cost.exact();
      print(json);
      return;
    }
    fmt::print("{}\n", to_string(plan));
    const auto steps = all_ranks_ ? std::numeric_limits<std::size_t>::max() : most_steps;
    for (const int rank : shown) print_text(plan, rank, plan.program(rank, pass()), steps);
    fmt::print("\n{}\n", all_ranks_ ? table.text() : spread_table(cost).text());
    const auto sample = cost.exact() ? std::string()
                                     : fmt::format(", estimated from {} of {} ranks",
                                                   cost.asked.size(), plan.ranks());
    fmt::print("area {} visible pairs per head, {:.4g} FLOP {}, {} sent{}, balance {:.4f}\n",
               cost.area, cost.flops, name_of(pass()),
               bytes_text(static_cast<double>(cost.bytes_sent)), sample, cost.balance);
  }

  static void print(const Json& json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }

  ShapeOptions shape_;
  ExecutionOptions execution_;
  int ranks_ = 4;
  int per_node_ = 1;
  bool backward_ = false;
  std::optional<int> threads_;
  std::optional<int> rank_;
  bool all_ranks_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan_command() {
  return std::make_unique<PlanCommand>();
}

}  // namespace annulus::cli
