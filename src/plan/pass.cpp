#include "annulus/plan/pass.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {

std::string_view name_of(Pass pass) {
  return pass == Pass::forward ? "forward" : "backward";
}

Pass parse_pass(std::string_view name) {
  for (const auto pass : {Pass::forward, Pass::backward}) {
    if (name == name_of(pass)) return pass;
  }
  throw InputError(fmt::format("unknown pass '{}'; expected forward or backward", name));
}

}  // namespace annulus
