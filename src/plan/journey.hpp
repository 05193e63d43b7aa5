#pragma once
// How far the keys of a rank travel around a circle, and which of their rows.

#include <array>
#include <vector>

#include "annulus/plan/program.hpp"
#include "plan/circle.hpp"
#include "plan/needs.hpp"

namespace annulus {

/// Which way keys go: towards ranks ahead, in whose direction distances count up, or behind.
enum class Way { forward, backward };

/// How many hops keys make each way.
struct Reach {
  int forward = 0;
  int backward = 0;
  bool halves = false;  ///< whether what goes one way does not go the other

  [[nodiscard]] int operator[](Way way) const { return way == Way::forward ? forward : backward; }
};

/// Distances from `owner` forward around the circle, in [0, nodes), at which a rank sees some of
/// its keys: ascending, disjoint ranges.
[[nodiscard]] std::vector<Interval> needed_distances(const Circle& circle, int owner,
                                                     const std::vector<Interval>& viewers);

/// Cuts the circle of `nodes` at its longest stretch of distances that are not in `needed`, which
/// is as needed_distances gives it; of stretches of one length at the last, which is the one that
/// keeps the ring going one way.
[[nodiscard]] Reach reach_of(std::vector<Interval> needed, int nodes);

/// The same for keys of which one half goes each way at once, all the way to whoever needs them.
/// Where a circle that is cut is shorter, whole shards go both ways.
[[nodiscard]] Reach reach_both_ways(const std::vector<Interval>& needed, int nodes);

/// The way that the keys of one owner make.
class Journey {
 public:
  /// `keys`: the shard of `owner`; `reach`: of all owners. Borrows circle and needs.
  Journey(const Circle& circle, const Needs& needs, int owner, Shard keys, Reach reach);

  /// Rows of the shard.
  [[nodiscard]] Index key_rows() const { return key_rows_; }

  /// The rows that make hop number `hop`, counted from 1, in this direction: those that somebody
  /// from there on needs, or up to twice as many, so that they become fewer only a few times on
  /// their way. Empty where the hop is not made.
  [[nodiscard]] Rows rows(Way way, int hop) const;

 private:
  /// The rows that somebody `hop` or more hops away needs: a list of intervals.
  [[nodiscard]] std::vector<Interval> needed_from(Way way, int hop) const;
  /// Of the first hop, those that make this one if rows never stay for company.
  [[nodiscard]] Rows fewest(Way way, int hop) const;
  /// How often they have halved, of the rows of the first hop.
  [[nodiscard]] int halvings(Way way, const Rows& rows) const;

  const Circle& circle_;
  const Needs& needs_;
  int owner_;
  Shard keys_;
  Index key_rows_;
  Reach travel_;
  std::array<Rows, 2> first_;    // rows of the first hop each way
  std::array<bool, 2> whole_{};  // whether these go all the way
};

}  // namespace annulus
