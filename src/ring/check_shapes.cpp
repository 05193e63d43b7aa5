#include "ring/check_shapes.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::ring {

void check_shape(ConstTensorView view, const char* name, DataType type, Index rows, Index heads,
                 Index dim) {
  if (view.type == type && view.has_shape(rows, heads, dim)) return;
  throw Error(fmt::format("{} is {} ({}, {}, {}); the plan expects {} ({}, {}, {}) on this rank",
                          name, name_of(view.type), view.rows, view.heads, view.dim, name_of(type),
                          rows, heads, dim));
}

void check_length(std::span<const double> values, const char* name, Index expected) {
  if (values.empty() || static_cast<Index>(values.size()) == expected) return;
  throw Error(fmt::format("{} has {} entries; the plan expects {} on this rank", name,
                          values.size(), expected));
}

void check_options(const Plan& plan, int rank, std::span<const double> gain,
                   std::span<const double> sink, std::span<const double> logit_scale) {
  const auto& problem = plan.problem;
  const Index rows = plan.query_rows(rank);
  check_length(gain, "gain", problem.query_heads);
  check_length(sink, "sink", problem.query_heads);
  check_length(logit_scale, "logit_scale", rows * problem.query_heads);
  if (rows > 0 && problem.logit_scale.is_table() == logit_scale.empty()) {
    throw Error("a logit scale table belongs to the policy `table`, and to no other");
  }
}

}  // namespace annulus::ring
