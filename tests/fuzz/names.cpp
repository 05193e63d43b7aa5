// Options that are one of a few names: --sharding, --schedule, --precision, --device, --layout, ...
#include "annulus/base/data_type.hpp"
#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/schedule.hpp"
#include "annulus/plan/sharding.hpp"
#include "annulus/results/array_layout.hpp"
#include "fuzz/fuzz.hpp"

void annulus::fuzz::read(std::string_view text) {
  const auto read_as = [&](auto parse) {
    static_cast<void>(takes(
        [&] { ensure(name_of(parse(text)) == text, "what is chosen by a name has that name"); }));
  };
  read_as(parse_sharding);
  // What is there by default is left out of the name of a schedule, as in "heads:1+ring".
  static_cast<void>(takes([&] {
    const auto schedule = parse_schedule(text);
    ensure(parse_schedule(name_of(schedule)) == schedule, "the name of a schedule reads back");
  }));
  read_as(parse_data_type);
  read_as(parse_device_kind);
  read_as(parse_pass);
  read_as(results::parse_array_layout);
}
