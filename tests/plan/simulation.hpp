#pragma once
// Programs of all ranks, executed on names instead of numbers.

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "annulus/plan/plan.hpp"

namespace annulus::test {

/// What executing all programs of a pass has shown. Everything that a program gets wrong is a
/// failure of the test that simulates it.
struct Simulation {
  int sends = 0;                      ///< of keys
  Index rows_sent = 0;                ///< of keys
  std::set<std::pair<int, int>> met;  ///< rank and owner of keys that it computes with
  std::vector<std::vector<int>>
      pairs;  ///< how often each query met each visible key, by packed rows
  std::vector<std::vector<int>> gradients;  ///< of a backward pass: what the owner of each key row
                                            ///< got from each rank
};

/// Executes the programs of a pass step by step: what a rank sends, computes with or lets go it
/// holds, what it computes with of a peer the peer holds, every message is received as what it was
/// sent as, all messages arrive however ranks interleave, and a backward pass takes up exactly what
/// the forward pass kept.
[[nodiscard]] Simulation simulate(const Plan& plan, Pass pass = Pass::forward);

}  // namespace annulus::test
