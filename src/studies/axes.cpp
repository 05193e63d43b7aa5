#include "studies/axes.hpp"

#include <utility>

#include "studies/keys.hpp"

namespace annulus::studies {

results::Axis length_axis(const StudyConfig& config) {
  const auto& lengths = keys::n.of(config);
  return {.name = "n",
          .values = {lengths.begin(), lengths.end()},
          .counts = true,
          .long_name = "context length",
          .units = "tokens"};
}

results::Axis rho_axis(const StudyConfig& config) {
  return {.name = "rho", .values = keys::rho.of(config), .long_name = "token correlation"};
}

results::Axis gamma_axis(const StudyConfig& config) {
  return {.name = "gamma",
          .values = keys::gamma.of(config),
          .long_name = "softmax strength, beta = gamma ln n"};
}

results::Variable measured(std::string name, std::string long_name, std::string units,
                           std::string inner_axis) {
  return {.name = std::move(name),
          .long_name = std::move(long_name),
          .units = std::move(units),
          .inner_axis = std::move(inner_axis)};
}

void add_theory(results::StudyLayout& layout, const results::Variable& of,
                std::vector<double> values) {
  auto theory = of;
  theory.name = "theory/" + of.name;
  theory.long_name = of.long_name + ", closed form";
  theory.values = std::move(values);
  layout.theory.push_back(std::move(theory));
}

}  // namespace annulus::studies
