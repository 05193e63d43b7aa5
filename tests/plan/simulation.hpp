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
  /// How often each query met each visible key in every head, by packed rows, as far as its owner
  /// came to know.
  std::vector<std::vector<int>> pairs;
  /// Of a backward pass: how often the owner of each key row got what the queries of each rank and
  /// head give to it, (P, H) row-major.
  std::vector<std::vector<int>> gradients;
};

/// Executes the programs of a pass step by step: what a rank sends, computes with or lets go it
/// holds, what it computes with of a peer the peer holds, every message is received as what it was
/// sent as, all messages arrive however ranks interleave, all that is made of queries comes home,
/// and a backward pass takes up exactly what the forward pass kept.
[[nodiscard]] Simulation simulate(const Plan& plan, Pass pass = Pass::forward);

}  // namespace annulus::test
