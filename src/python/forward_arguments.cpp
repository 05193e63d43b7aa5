#include "python/forward_arguments.hpp"

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nanobind/stl/optional.h>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/read_option.hpp"

namespace annulus::python {

using namespace nb::literals;

ForwardOptions ForwardArguments::options(Arrays& arrays, const Problem& problem,
                                         const Shapes& shapes) const {
  ForwardOptions options;
  if (lse_) options.lse = arrays.output(*lse_, shapes.of_rows("lse"));
  if (has_statistics()) options.statistics.views.resize(row_statistics().size());
  for (const auto& [key, array] : statistics_) {
    const auto name = std::string(nb::str(key).c_str());
    const auto place = read_option("statistics", [&] { return place_of_statistic(name); });
    options.statistics.views[place] = arrays.output(array, shapes.of_rows(name.c_str()));
  }
  options.gain = numbers(gain_, "gain", shapes.heads);
  options.sink = numbers(sink_, "sink", shapes.heads);
  options.logit_scale = numbers(logit_scale_, "logit_scale", shapes.rows * shapes.heads);
  if (problem.logit_scale.is_table() != logit_scale_.has_value()) {
    throw InputError("logit_scale: a table belongs to the policy 'table', and to no other");
  }
  return options;
}

Facts ForwardArguments::facts(const char* pass, bool held) const {
  const auto values = [](const std::optional<ConstNumbers>& array) {
    if (!array) return std::string("absent");
    return fmt::format("[{}]", fmt::join(std::span(array->data(), array->size()), ", "));
  };
  return {{"the pass", pass},
          {"statistics", has_statistics() ? "asked for" : "not asked for"},
          {"what is held for the backward pass", held ? "present" : "absent"},
          {"gain", values(gain_)},
          {"sink", values(sink_)}};
}

void bind_forward_arguments(nb::module_& module) {
  nb::class_<ForwardArguments>(
      module, "ForwardArguments",
      "Optional inputs and outputs of a pass: lse (rows, H), statistics by "
      "name, (rows, H) each; gain and sink (H), logit_scale (rows, H)")
      .def(nb::init<std::optional<nb::object>, Named, std::optional<ConstNumbers>,
                    std::optional<ConstNumbers>, std::optional<ConstNumbers>>(),
           "lse"_a, "statistics"_a, "gain"_a, "sink"_a, "logit_scale"_a);
}

}  // namespace annulus::python
