#pragma once
// Messages that begin with the option that they are about.

#include <string>

#include "annulus/base/error.hpp"

namespace annulus {

/// Runs `read`; an InputError gets the name of the option in front.
template <class Read>
decltype(auto) read_option(const char* name, Read read) {
  try {
    return read();
  } catch (const InputError& error) {
    throw InputError(std::string(name) + ": " + error.what());
  }
}

}  // namespace annulus
