#pragma once
// Who gets whose queries and keys, where everything is fetched from the rank that has it.

#include <optional>

#include "annulus/base/index.hpp"
#include "plan/journey.hpp"

namespace annulus::schedules {

/// Keys of a team that come to another one.
struct KeyVisit {
  int owner = 0;        ///< the team whose keys these are
  int from = 0;         ///< the one that has them: the owner, or one that has fetched them
  Interval readers{};   ///< teams for whose queries they come: the receiver, or all to whom it
                        ///< passes them on
  Interval held_for{};  ///< teams for whose queries `from` has them
  std::optional<Way> half{};  ///< the half of every shard that goes this way; none: all of it
};

/// Teams in some order around each of them. Every team counts its visits from 0, itself; at every
/// number it gets something from one team and gives something to one, and what is said of a visit
/// without a team, when it starts and until when it lasts, is so for all. All answers are closed
/// forms.
class Arrangement {
 public:
  Arrangement() = default;
  Arrangement(const Arrangement&) = delete;
  Arrangement& operator=(const Arrangement&) = delete;
  virtual ~Arrangement() = default;

  /// Teams whose queries meet keys at a team.
  [[nodiscard]] virtual int query_visits() const { return 1; }
  /// The owner of the queries of a visit.
  [[nodiscard]] virtual int query_owner(int team, int /*visit*/) const { return team; }
  /// The team whose visit is of this team's queries.
  [[nodiscard]] virtual int query_guest(int team, int /*visit*/) const { return team; }

  /// Teams whose keys meet queries at a team.
  [[nodiscard]] virtual int key_visits() const = 0;
  [[nodiscard]] virtual KeyVisit key_visit(int team, int visit) const = 0;
  /// The team whose visit is from this one.
  [[nodiscard]] virtual int key_guest(int team, int visit) const = 0;
  /// The visit during which keys of a visit set out.
  [[nodiscard]] virtual int starts(int visit) const { return visit - 1; }
  /// The last visit for which the receiver passes them on, or their own.
  [[nodiscard]] virtual int last(int visit) const { return visit; }
  /// How many visits one sets out ahead of its own, or is passed on after it, at most.
  [[nodiscard]] virtual int farthest() const { return 1; }
  /// A range of teams that has all of those in it.
  [[nodiscard]] virtual Interval key_owners(int team) const = 0;
};

}  // namespace annulus::schedules
