#pragma once
// An exchange that is over.

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// There is nothing more for the host to do.
class CompletedExchange final : public Exchange {
 public:
  bool poll() override { return true; }
  void wait() override {}
};

}  // namespace annulus::comm
