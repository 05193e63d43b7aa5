#pragma once
// What goes wrong between ranks.

#include <source_location>
#include <string>

#include "annulus/base/error.hpp"

namespace annulus::comm {

/// A transport that failed, a rank that the others wait for in vain, or messages that do not match.
class CommunicationError : public Error {
 public:
  explicit CommunicationError(const std::string& message,
                              std::source_location location = std::source_location::current())
      : Error(message, location) {}
};

}  // namespace annulus::comm
