// annulus.Plan and make_plan.
#include <algorithm>
#include <optional>
#include <string>
#include <variant>

#include <fmt/format.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "annulus/base/read_option.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/plan/format.hpp"
#include "annulus/plan/plan.hpp"
#include "python/bindings.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;
using Ranks = std::variant<int, comm::Communicator*>;

Topology topology_of(const Ranks& ranks, std::optional<int> ranks_per_node) {
  if (const auto* const communicator = std::get_if<comm::Communicator*>(&ranks)) {
    if (ranks_per_node) {
      throw InputError("ranks_per_node: a communicator knows its nodes; expected it with a number");
    }
    return (*communicator)->topology();
  }
  const int count = std::get<int>(ranks);
  return ranks_per_node ? even_topology(count, *ranks_per_node) : Topology{.ranks = count};
}

/// Reads an option that may be `auto`.
template <class Parse>
auto chosen(const char* name, const std::string& text, Parse parse) {
  using Value = decltype(parse(text));
  return read_option(name, [&]() -> std::optional<Value> {
    if (text == "auto") return std::nullopt;
    return parse(text);
  });
}

Plan plan_of(const Problem& problem, const Ranks& ranks, const std::string& sharding,
             const std::string& key_sharding, const std::string& schedule,
             const std::string& precision, std::optional<int> ranks_per_node) {
  return make_plan(
      problem, topology_of(ranks, ranks_per_node),
      {.sharding = chosen("sharding", sharding, parse_sharding),
       .key_sharding = chosen("key_sharding", key_sharding, parse_sharding),
       .schedule = chosen("schedule", schedule, parse_schedule),
       .data_type = read_option("precision", [&] { return parse_data_type(precision); })});
}

int checked(const Plan& plan, int rank) {
  if (rank >= 0 && rank < plan.ranks()) return rank;
  throw InputError(
      fmt::format("rank is {}; the plan is for ranks 0 to {}", rank, plan.ranks() - 1));
}

using IndexArray = nb::ndarray<nb::numpy, Index, nb::ndim<1>>;

IndexArray array_of(const std::vector<Index>& values) {
  auto* const copy = new Index[values.size()];
  std::ranges::copy(values, copy);
  const nb::capsule owner(copy, [](void* data) noexcept { delete[] static_cast<Index*>(data); });
  return IndexArray(copy, {values.size()}, owner);
}

std::string description(const Plan& plan, std::optional<int> rank) {
  if (!rank) return to_string(plan);
  std::string text = to_string(plan, checked(plan, *rank));
  const auto program = plan.program(*rank);
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    text += fmt::format("\n  step {}: {}", at, to_string(plan, *rank, program.steps[at]));
  }
  return text;
}

}  // namespace

void bind_plan(nb::module_& module) {
  nb::class_<RankMemory>(module, "RankMemory", "Bytes of one rank while a pass runs.")
      .def_ro("inputs", &RankMemory::inputs)
      .def_ro("outputs", &RankMemory::outputs)
      .def_ro("state", &RankMemory::state)
      .def_ro("buffers", &RankMemory::buffers)
      .def_prop_ro("total", &RankMemory::total);
  nb::class_<RankCost>(module, "RankCost", "What one rank does in a pass.")
      .def_ro("area", &RankCost::area, "visible pairs of queries and keys, for each head")
      .def_ro("flops", &RankCost::flops)
      .def_ro("bytes_sent", &RankCost::bytes_sent)
      .def_ro("messages_sent", &RankCost::messages_sent)
      .def_ro("memory", &RankCost::memory);

  nb::class_<Plan>(
      module, "Plan",
      R"(What all ranks agree on without talking: who holds what, what moves when, what is
computed where. A value that never changes. print() shows it; what it says of a rank, it derives when
it is asked.)")
      .def_prop_ro("problem", &Plan::problem)
      .def_prop_ro("ranks", &Plan::ranks)
      .def_prop_ro("sharding", [](const Plan& plan) { return name_of(plan.sharding()); })
      .def_prop_ro("key_sharding", [](const Plan& plan) { return name_of(plan.key_sharding()); })
      .def_prop_ro("schedule", [](const Plan& plan) { return name_of(plan.schedule()); })
      .def_prop_ro("precision", [](const Plan& plan) { return name_of(plan.data_type()); })
      .def(
          "query_shard",
          [](const Plan& plan, int rank) { return plan.query_shard(checked(plan, rank)); },
          "rank"_a, "The rank's queries, as runs, in the order in which it holds them.")
      .def(
          "key_shard",
          [](const Plan& plan, int rank) { return plan.key_shard(checked(plan, rank)); }, "rank"_a,
          "The rank's keys, likewise.")
      .def(
          "query_count",
          [](const Plan& plan, int rank) { return plan.query_rows(checked(plan, rank)); }, "rank"_a,
          "How many queries the rank holds.")
      .def(
          "key_count",
          [](const Plan& plan, int rank) { return plan.key_rows(checked(plan, rank)); }, "rank"_a,
          "How many keys.")
      .def(
          "query_rows",
          [](const Plan& plan, int rank) {
            const auto& documents = plan.problem().documents;
            return array_of(
                packed_rows(plan.query_shard(checked(plan, rank)), documents.query_offsets()));
          },
          "rank"_a,
          "The rank's rows of the whole sequence, as int64: q[plan.query_rows(r)] is what rank r "
          "holds of q (n, H, d).")
      .def(
          "key_rows",
          [](const Plan& plan, int rank) {
            const auto& documents = plan.problem().documents;
            return array_of(
                packed_rows(plan.key_shard(checked(plan, rank)), documents.key_offsets()));
          },
          "rank"_a, "The same of keys and values.")
      .def(
          "program",
          [](const Plan& plan, int rank, const std::string& of) {
            const auto pass = read_option("of", [&] { return parse_pass(of); });
            return plan.program(checked(plan, rank), pass).steps;
          },
          "rank"_a, "of"_a = "forward", "What a rank does in a pass, step by step.")
      .def(
          "cost",
          [](const Plan& plan, int rank, const std::string& of) {
            const auto pass = read_option("of", [&] { return parse_pass(of); });
            return cost_of(plan, checked(plan, rank), pass);
          },
          "rank"_a, "of"_a = "forward", "What a rank does in a pass, counted.")
      .def("describe", &description, "rank"_a = nb::none(),
           "The plan in a line, or what one rank holds and does in each step.")
      .def("__str__", [](const Plan& plan) { return description(plan, std::nullopt); })
      .def("__repr__", [](const Plan& plan) { return "<annulus.Plan: " + to_string(plan) + ">"; });

  module.def("make_plan", &plan_of, "problem"_a, nb::kw_only(), "ranks"_a, "sharding"_a = "auto",
             "key_sharding"_a = "auto", "schedule"_a = "auto", "precision"_a = "fp32",
             "ranks_per_node"_a = nb::none(), R"(Plans an attention call over some ranks.

ranks         how many, or the communicator that will execute the plan, which also says who shares
              memory with whom
sharding      'auto' (the quickest), 'contiguous', 'zigzag', 'striped' or 'balanced'
key_sharding  of keys alone; 'auto' is as the queries
schedule      'auto' (the quickest), 'ring', 'node-ring', 'bidirectional', 'double-ring[:M]',
              'tiles[:AxB]', 'heads:U' or 'heads:U+' one of these
precision     of the inputs, and of what travels: 'fp32', 'fp64', 'bf16', 'fp16'; sums and outputs are
              fp32, or fp64 for 'fp64'
ranks_per_node  ranks that share memory, where ranks is a number; by default nothing is known

Raises InputError, naming the argument, for what does not fit, with what would.)");
}

}  // namespace annulus::python
