#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/error.hpp"
#include "attention/statistics/list.hpp"

namespace annulus {
namespace {

template <class... S>
constexpr std::array<Statistic, sizeof...(S)> entries(statistics::List<S...> /*all*/) {
  return {{{.name = S::name,
            .description = S::description,
            .of_nothing = S::of_nothing,
            .of_float_row = &S::template of<float>,
            .of_double_row = &S::template of<double>,
            .of_probabilities = &S::of,
            .bound = &S::bound}...}};
}

}  // namespace

std::span<const Statistic> row_statistics() {
  static constexpr auto all = entries(statistics::All{});
  return all;
}

std::size_t place_of_statistic(std::string_view name) {
  const auto all = row_statistics();
  const auto found =
      std::ranges::find_if(all, [&](const auto& statistic) { return name == statistic.name; });
  if (found != all.end()) return static_cast<std::size_t>(found - all.begin());
  std::vector<const char*> names;
  for (const auto& statistic : all) names.push_back(statistic.name);
  throw InputError(
      fmt::format("unknown statistic '{}'; expected one of {}", name, fmt::join(names, ", ")));
}

}  // namespace annulus
