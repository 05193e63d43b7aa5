#include "annulus/base/error.hpp"

#include <fmt/format.h>

namespace annulus {

Error::Error(const std::string& message, std::source_location location)
    : std::runtime_error(message), location_(location) {}

InputError::InputError(const std::string& message, std::source_location location)
    : Error(message, location) {}

void broken_invariant(const std::string& what, std::source_location location) {
  throw Error(
      fmt::format("internal error: {} ({}:{})", what, location.file_name(), location.line()),
      location);
}

}  // namespace annulus
