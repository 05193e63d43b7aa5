// annulus plan: who holds, sends and computes what.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/plan/cost.hpp"
#include "annulus/plan/format.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

constexpr WholeRange<int> rank_counts{1, 2048};

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

Json json_of(const Step& step) {
  const auto& [reads, hop] = step;
  const auto or_null = [](int rank) { return rank < 0 ? Json() : Json(rank); };
  Json compute = Json::array();
  for (const auto& read : reads) {
    compute.push_back({{"owner", read.owner}, {"holder", read.holder}});
  }
  return {{"compute", reads.empty() ? Json() : Json(reads.front().owner)},
          {"reads", std::move(compute)},
          {"send", or_null(hop.send_owner)},
          {"to", or_null(hop.to)},
          {"receive", or_null(hop.receive_owner)},
          {"from", or_null(hop.from)}};
}

Json json_of(const Plan& plan) {
  Json steps = Json::array();
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    Json ranks = Json::array();
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      ranks.push_back(json_of(plan.program(rank)[step]));
    }
    steps.push_back(std::move(ranks));
  }
  Json shards = Json::array();
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    shards.push_back(
        {{"queries", json_of(plan.query_shard(rank))}, {"keys", json_of(plan.key_shard(rank))}});
  }
  return {{"schedule", name_of(plan.schedule())},
          {"sharding", name_of(plan.sharding())},
          {"key_sharding", name_of(plan.key_sharding())},
          {"precision", name_of(plan.data_type())},
          {"shards", std::move(shards)},
          {"steps", std::move(steps)}};
}

Table cost_table(const PlanCost& cost) {
  Table table({"rank", "area", "flops", "bytes_sent", "messages_sent", "input_bytes",
               "output_bytes", "state_bytes", "buffer_bytes", "memory_bytes"});
  for (std::size_t rank = 0; rank < cost.ranks.size(); ++rank) {
    const auto& own = cost.ranks[rank];
    table.add({cell(static_cast<Index>(rank)), cell(own.area), cell(own.flops),
               cell(own.bytes_sent), cell(own.messages_sent), cell(own.memory.inputs),
               cell(own.memory.outputs), cell(own.memory.state), cell(own.memory.buffers),
               cell(own.memory.total())});
  }
  return table;
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
    app.add_flag("--backward", backward_, "the cost of the backward pass");
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  void check() const override {
    if (per_node_ > ranks_) {
      throw InputError(fmt::format("--ranks-per-node: '{}'; expected 1 to the {} of --ranks",
                                   per_node_, ranks_));
    }
    (void)shape_.problem();
    (void)execution_.plan_options();
  }

  int run(const Context& context) const override {
    const auto plan =
        make_plan(shape_.problem(), even_topology(ranks_, per_node_), execution_.plan_options());
    const auto pass = backward_ ? Pass::backward : Pass::forward;
    const auto cost = cost_of(plan, pass);
    const auto table = cost_table(cost);
    if (context.json) {
      auto json = json_of(plan);
      json["ranks"] = table.json();
      json["pass"] = name_of(pass);
      json["area"] = cost.area;
      json["flops"] = cost.flops;
      json["bytes_sent"] = cost.bytes_sent;
      json["balance"] = cost.balance;
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return 0;
    }
    fmt::print("{}\n{}\n", to_string(plan), table.text());
    fmt::print("area {} visible pairs per head, {:.4g} FLOP {}, {} sent, balance {:.4f}\n",
               cost.area, cost.flops, name_of(pass),
               bytes_text(static_cast<double>(cost.bytes_sent)), cost.balance);
    return 0;
  }

 private:
  ShapeOptions shape_;
  ExecutionOptions execution_;
  int ranks_ = 4;
  int per_node_ = 1;
  bool backward_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan_command() {
  return std::make_unique<PlanCommand>();
}

}  // namespace annulus::cli
