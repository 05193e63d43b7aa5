#pragma once
// How far the keys of a rank travel around a circle, and which of their rows.

#include <array>
#include <cstddef>
#include <span>
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
                                                     std::span<const Interval> viewers);

/// Cuts the circle of `nodes` at its longest stretch of distances that are not in `needed`, which
/// is as needed_distances gives it; of stretches of one length at the last, which is the one that
/// keeps the ring going one way.
[[nodiscard]] Reach reach_of(std::vector<Interval> needed, int nodes);

/// The same for keys of which one half goes each way at once, all the way to whoever needs them.
/// Where a circle that is cut is shorter, whole shards go both ways.
[[nodiscard]] Reach reach_both_ways(const std::vector<Interval>& needed, int nodes);

/// Of the rows of a shard, the half that goes this way where the other one does not.
[[nodiscard]] Interval half_of(Way way, Index rows);

/// The way that the keys of one owner make, all of them or the half that goes this way. Remembers
/// what it was asked last.
class Journey {
 public:
  /// `reach`: of all owners. Borrows circle and needs.
  Journey(const Circle& circle, Needs& needs, Reach reach)
      : circle_(&circle), needs_(&needs), reach_(reach) {}

  /// Now the way of these keys, which are the shard of `owner`.
  void begin(int owner, Shard keys);

  [[nodiscard]] const Shard& keys() const { return keys_; }
  /// Rows of the shard.
  [[nodiscard]] Index key_rows() const { return key_rows_; }

  /// The rows that make hop number `hop`, counted from 1, in this direction: those that somebody
  /// from there on needs, or up to twice as many, so that they become fewer only a few times on
  /// their way. Empty where the hop is not made.
  [[nodiscard]] Rows rows(Way way, int hop);

 private:
  struct Leg {
    bool known = false;  // whether the rest is
    Interval part{};     // rows of the shard that may go this way
    int hops = 0;
    Rows first{};        // rows of the first hop
    bool whole = false;  // whether these go all the way
    Interval alike{};    // hops, how often the rows of all of them have halved, and these rows
    int halved = 0;
    Rows rows{};
  };

  /// How many hops take keys to all of `viewers`, as far as keys of any owner go.
  [[nodiscard]] int hops_to(std::span<const Interval> viewers, Way way);
  /// The rows that somebody `hop` or more hops away needs: a list of intervals.
  [[nodiscard]] std::span<const Interval> needed_from(Way way, int hop);
  /// Of the first hop, those that make this one if rows never stay for company.
  [[nodiscard]] Rows fewest(Way way, int hop);
  /// How often they have halved, of the rows of the first hop.
  [[nodiscard]] int halvings(Way way, const Rows& rows);
  void set_out(Way way);
  [[nodiscard]] Leg& leg(Way way) { return legs_[static_cast<std::size_t>(way)]; }

  const Circle* circle_;
  Needs* needs_;
  Reach reach_;
  int owner_ = -1;
  Shard keys_{};
  Index key_rows_ = 0;
  std::array<Leg, 2> legs_{};
  std::vector<Interval> places_{};  // ranks or nodes
};

}  // namespace annulus
