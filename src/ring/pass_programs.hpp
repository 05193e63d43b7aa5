#pragma once
// The programs that a rank executes, and those of its peers.

#include <map>
#include <utility>

#include "annulus/plan/plan.hpp"

namespace annulus::ring {

/// Derived from the plan when they are first asked for.
class PassPrograms {
 public:
  explicit PassPrograms(Plan plan) : plan_(std::move(plan)) {}

  [[nodiscard]] const Program& of(int rank, Pass pass) {
    const auto known = programs_.find({rank, pass});
    if (known != programs_.end()) return known->second;
    auto program = pass == Pass::forward ? plan_.program(rank)
                                         : plan_.backward_program(rank, of(rank, Pass::forward));
    return programs_.emplace(std::pair{rank, pass}, std::move(program)).first->second;
  }

 private:
  Plan plan_;
  std::map<std::pair<int, Pass>, Program> programs_;
};

}  // namespace annulus::ring
