#pragma once
// Every failure of the library is an annulus::Error. The front ends turn InputError into exit
// code 2 and any other exception into exit code 1.

#include <source_location>
#include <stdexcept>
#include <string>

namespace annulus {

/// A run that failed. `what()` is for users; `location()` is for developers.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message,
                 std::source_location location = std::source_location::current());

  [[nodiscard]] const std::source_location& location() const { return location_; }

 private:
  std::source_location location_;
};

/// Bad usage or bad input, or an option that cannot be honoured. The message names the option,
/// dataset or key, and says what was expected.
class InputError : public Error {
 public:
  explicit InputError(const std::string& message,
                      std::source_location location = std::source_location::current());
};

/// Throws an Error that blames the library itself; for states that no caller can bring about.
[[noreturn]] void broken_invariant(const std::string& what,
                                   std::source_location location = std::source_location::current());

/// Checks an invariant of the library, in every build type.
inline void ensure(bool holds, const char* what,
                   std::source_location location = std::source_location::current()) {
  if (!holds) broken_invariant(what, location);
}

}  // namespace annulus
