#include "ring/check_shapes.hpp"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::ring {

void check_shape(ConstTensorView view, const char* name, DataType type, Index rows, Index heads,
                 Index dim) {
  if (view.type == type && view.has_shape(rows, heads, dim)) return;
  throw Error(fmt::format("{} is {} ({}, {}, {}); expected {} ({}, {}, {}) on this rank", name,
                          name_of(view.type), view.rows, view.heads, view.dim, name_of(type), rows,
                          heads, dim));
}

void check_length(std::span<const double> values, const char* name, Index expected) {
  if (values.empty() || static_cast<Index>(values.size()) == expected) return;
  throw Error(
      fmt::format("{} has {} entries; expected {} on this rank", name, values.size(), expected));
}

void check_outputs(const ForwardOutputs& outputs, DataType type, Index rows, Index heads,
                   Index value_dim) {
  check_shape(outputs.out, "out", type, rows, heads, value_dim);
  if (outputs.lse.present()) check_shape(outputs.lse, "lse", type, rows, heads, 1);
  const auto& statistics = outputs.statistics.views;
  ensure(statistics.empty() || statistics.size() == row_statistics().size(),
         "there is a view for every statistic, or none");
  for (const auto& statistic : statistics) {
    if (statistic.present()) check_shape(statistic, "a statistic", type, rows, heads, 1);
  }
}

namespace {

void check_finite(std::span<const double> values, const char* name) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw InputError(fmt::format("{}[{}] is {}; expected finite numbers", name, i, values[i]));
  }
}

}  // namespace

void check_options(const Problem& problem, Index rows, std::span<const double> gain,
                   std::span<const double> sink, std::span<const double> logit_scale) {
  check_length(gain, "gain", problem.query_heads);
  check_length(sink, "sink", problem.query_heads);
  check_length(logit_scale, "logit_scale", rows * problem.query_heads);
  check_finite(gain, "gain");
  check_finite(logit_scale, "logit_scale");
  for (std::size_t h = 0; h < sink.size(); ++h) {
    if (std::isnan(sink[h]) || sink[h] == std::numeric_limits<double>::infinity()) {
      throw InputError(fmt::format("sink[{}] is {}; expected a finite number or -inf", h, sink[h]));
    }
  }
  if (rows > 0 && problem.logit_scale.is_table() == logit_scale.empty()) {
    throw Error("a logit scale table belongs to the policy `table`, and to no other");
  }
}

}  // namespace annulus::ring
