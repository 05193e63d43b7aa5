#pragma once
// The border between exceptions and codes.

#include <exception>
#include <string>

#include <fmt/format.h>

#include "annulus/annulus.h"
#include "annulus/base/error.hpp"

namespace annulus::c {

/// What annulus_message returns to this thread.
std::string& message();

/// Runs `body`; what it throws becomes a code and the message.
template <class Body>
int call(Body body) noexcept {
  try {
    body();
    return ANNULUS_OK;
  } catch (const InputError& error) {
    message() = error.what();
    return ANNULUS_BAD_INPUT;
  } catch (const std::exception& error) {
    message() = error.what();
    return ANNULUS_ERROR;
  }
}

/// Throws InputError, naming the argument, where it is NULL.
template <class T>
T& given(T* argument, const char* name) {
  if (argument == nullptr) throw InputError(fmt::format("{} is NULL", name));
  return *argument;
}

}  // namespace annulus::c
