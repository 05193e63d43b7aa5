#pragma once
// Schedules in which ranks fetch what they compute with from whoever has it.

#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plan/schedules/arrangement.hpp"
#include "plan/schedules/schedules.hpp"
#include "plan/teams.hpp"

namespace annulus::schedules {

/// First the queries of other ranks come, batch by batch, and meet the rank's own keys: those of
/// its team, and then those of each visit. Then keys come, visit by visit, and meet all queries.
/// With the last keys the batches meet one after the other, the own queries last, so that what has
/// become of a batch goes home while the next one is computed with. All of it is of the heads that
/// the rank has in its team.
///
/// A backward pass does the same again, and nothing of a forward pass is kept for it. Gradients of
/// keys go to where these came from when they are complete.
class Fetches final : public RankSchedule {
 public:
  /// Borrows `tables`.
  Fetches(const Plan::Tables& tables, int rank, std::unique_ptr<const Arrangement> arrangement);

  [[nodiscard]] int step_count() const override;
  [[nodiscard]] Step step(int at) override;
  [[nodiscard]] Program backward(const Program& forward) const override;

 private:
  // Batches are numbered from 0, the rank's own queries; visits from 0, its own keys. Number 1 are
  // those of the others of its team, where it has any; then come those of other teams.
  [[nodiscard]] int batch_count() const { return arrangement_->query_visits() + others_; }
  [[nodiscard]] int visit_count() const { return arrangement_->key_visits() + others_; }
  [[nodiscard]] KeyVisit visit_of(int team, int visit) const;
  /// The owner of a batch of `team`.
  [[nodiscard]] int owner_of(int team, int batch) const;

  /// The step in which a visit is there, and the last one in which it is computed with.
  [[nodiscard]] int first_step(int visit) const;
  [[nodiscard]] int last_step(int visit) const;
  /// The step in which keys of a visit set out, and the last in which the receiver has a use for
  /// them, or for gradients of them.
  [[nodiscard]] int starts(int visit) const;
  [[nodiscard]] int last_use(int visit) const;
  /// The step in which a batch has met all keys.
  [[nodiscard]] int completed(int batch) const;

  /// What `receiver` gets of the queries of `owner`, or of its keys on a visit.
  [[nodiscard]] std::vector<Item> queries_for(int receiver, int owner) const;
  [[nodiscard]] std::vector<Item> keys_for(int receiver, const KeyVisit& visit, int owner);
  /// Rows of `owner` in the heads that `receiver` computes with.
  [[nodiscard]] std::vector<Item> items_for(int receiver, What what, int owner, Rows rows) const;
  [[nodiscard]] Rows rows_for(Interval readers, const Shard& keys);

  /// An item that comes from a rank or goes to it.
  struct Exchanged {
    Item item;
    int peer = -1;
  };
  /// Exchanged items of the same heads.
  [[nodiscard]] static std::vector<ItemList> joined(const std::vector<Exchanged>& exchanged);
  /// What this rank gets, and what it gives to others whose batch or visit of this number is from
  /// it.
  [[nodiscard]] std::vector<Exchanged> queries_got(int batch) const;
  [[nodiscard]] std::vector<Exchanged> queries_given(int batch) const;
  [[nodiscard]] const std::vector<Exchanged>& keys_got(int visit) { return latest(visit).got; }
  [[nodiscard]] std::vector<Exchanged> find_keys_got(int visit);
  [[nodiscard]] std::vector<Exchanged> keys_given(int visit);

  /// Visits that may set out in a step, and visits that may be over in it: from `begin` to `end`
  /// - 1.
  [[nodiscard]] Interval visits_ahead(int at) const;
  [[nodiscard]] Interval visits_behind(int at) const;
  void add_transfers(Step& step, int at);
  void add_releases(Step& step, int at);
  /// Batches `begin` to `end` - 1 meet keys.
  void add_computes(Step& step, Interval batches, int visit);

  const Plan::Tables& tables_;
  std::unique_ptr<const Arrangement> arrangement_;
  Teams teams_;
  Needs needs_;
  int rank_;
  int team_;
  int others_;                                // 1 where the team has other ranks, else 0
  std::vector<std::vector<Interval>> heads_;  // by member of a team
  std::vector<Interval> readers_;             // ranks, in rows_for

  struct Batch {
    std::vector<Exchanged> got;
    std::vector<ItemList> queries;
  };
  std::vector<Batch> batches_;
  std::unordered_map<int, Shard> query_shards_;  // by owner

  struct Visit {
    int number;
    std::vector<Exchanged> got;
    std::vector<ItemList> keys;
  };
  [[nodiscard]] const Visit& latest(int visit);
  std::deque<Visit> latest_visits_;  // that were asked for
};

}  // namespace annulus::schedules
