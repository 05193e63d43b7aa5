#pragma once
// Ranks that share out heads among each other.

#include <vector>

#include "plan/circle.hpp"

namespace annulus {

/// Teams of `size` ranks each, in the order of a circle, which is borrowed.
class Teams {
 public:
  Teams(const Circle& circle, int size) : circle_(circle), size_(size) {}

  [[nodiscard]] int count() const { return circle_.ranks() / size_; }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] int team_of(int rank) const { return circle_.place_of(rank) / size_; }
  [[nodiscard]] int member_of(int rank) const { return circle_.place_of(rank) % size_; }
  [[nodiscard]] int rank_of(int team, int member) const {
    return circle_.rank_at_place(team * size_ + member);
  }
  /// Appends the ranks of a range of teams, as ranges.
  void add_ranks_of(Interval teams, std::vector<Interval>& ranks) const {
    circle_.add_ranks_at({teams.begin * size_, teams.end * size_}, ranks);
  }

 private:
  const Circle& circle_;
  int size_;
};

}  // namespace annulus
