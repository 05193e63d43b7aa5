#pragma once
// Time that a rank spends with nothing to compute.

#include <chrono>

#include "annulus/ring/ring_attention.hpp"

namespace annulus::ring {

/// Adds the time from its start to its end to the exposed time of a report, which it borrows.
class Waiting {
 public:
  explicit Waiting(PassReport& report) : report_(report) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    report_.exposed_seconds += std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  PassReport& report_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace annulus::ring
