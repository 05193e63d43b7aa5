#pragma once
// Transfers of a program that are under way.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <list>
#include <vector>

#include "annulus/plan/program.hpp"

namespace annulus::ring {

/// When transfers that start in a step are due, the last one first: on every rank they start in
/// this order, one exchange for all that are due together.
[[nodiscard]] inline std::vector<std::size_t> dues_of(const Step& step) {
  std::vector<std::size_t> dues;
  for (const auto* transfers : {&step.sends, &step.receives}) {
    for (const auto& transfer : *transfers) {
      if (std::ranges::find(dues, transfer.due) == dues.end()) dues.push_back(transfer.due);
    }
  }
  std::ranges::sort(dues, std::greater{});
  return dues;
}

/// Waits for those exchanges of `under_way` that are due by `step`, calls `done` with what belongs
/// to each, and forgets it.
template <class UnderWay, class Done>
void wait_for_due(std::list<UnderWay>& under_way, std::size_t step, const Done& done) {
  for (auto at = under_way.begin(); at != under_way.end();) {
    if (at->due > step) {
      ++at;
      continue;
    }
    at->exchange->wait();
    done(*at);
    at = under_way.erase(at);
  }
}

}  // namespace annulus::ring
