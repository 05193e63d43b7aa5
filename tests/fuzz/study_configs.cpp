// The TOML of a study, and the results file that it asks for.
#include "annulus/base/error.hpp"
#include "annulus/studies/config.hpp"
#include "annulus/studies/study.hpp"
#include "fuzz/fuzz.hpp"

void annulus::fuzz::read(std::string_view text) {
  const auto config = studies::parse_config(text, "study.toml");
  const auto canonical = studies::canonical(config);
  const auto again = studies::parse_config(canonical, "study.toml");
  ensure(again.values == config.values && again.precision == config.precision,
         "the canonical form of a config reads back to the same values");
  ensure(studies::canonical(again) == canonical, "and is the canonical form of that");
  ensure(studies::least_memory(config, 3) > 0, "a study needs memory");
  Index points = 1;
  for (const auto& [key, value] : config.values) {
    if (const auto* list = std::get_if<std::vector<double>>(&value)) points *= list->size();
    if (const auto* list = std::get_if<std::vector<Index>>(&value)) points *= list->size();
  }
  // Closed forms of many points take their time.
  if (points <= 1000) ensure(studies::layout_of(config).points() == points, "a grid is its axes");
}
