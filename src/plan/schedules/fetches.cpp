#include "plan/schedules/fetches.hpp"

#include <algorithm>
#include <utility>

#include "annulus/plan/block.hpp"
#include "annulus/plan/heads.hpp"
#include "plan/intervals.hpp"

namespace annulus::schedules {
namespace {

bool meet(const std::vector<Interval>& some, const std::vector<Interval>& others) {
  return std::ranges::any_of(some, [&](const Interval& one) {
    return std::ranges::any_of(others, [&](const Interval& other) {
      return one.begin < other.end && other.begin < one.end;
    });
  });
}

}  // namespace

Fetches::Fetches(const Plan::Tables& tables, int rank,
                 std::unique_ptr<const Arrangement> arrangement)
    : tables_(tables),
      arrangement_(std::move(arrangement)),
      teams_(tables.circle, tables.schedule.heads),
      needs_(tables.needs()),
      rank_(rank),
      team_(teams_.team_of(rank)),
      others_(teams_.size() > 1 ? 1 : 0) {
  for (int member = 0; member < teams_.size(); ++member) {
    heads_.push_back(heads_of_member(tables.shards->problem, teams_.size(), member));
  }
  for (int batch = 0; batch < batch_count(); ++batch) {
    auto got = queries_got(batch);
    auto queries = joined(got);
    for (const auto& [item, peer] : got) {
      query_shards_.try_emplace(item.owner, tables.shards->queries->of(item.owner));
    }
    batches_.push_back({std::move(got), std::move(queries)});
  }
}

KeyVisit Fetches::visit_of(int team, int visit) const {
  if (visit > others_) return arrangement_->key_visit(team, visit - others_);
  const Interval only{team, team + 1};
  return {.owner = team, .from = team, .readers = only, .held_for = only};
}

int Fetches::owner_of(int team, int batch) const {
  return batch > others_ ? arrangement_->query_owner(team, batch - others_) : team;
}

// Batch b meets the own keys in step b; visits follow. With the last of them, batches take turns.
int Fetches::first_step(int visit) const {
  return visit == 0 ? 0 : batch_count() - 1 + visit;
}

int Fetches::last_step(int visit) const {
  const bool takes_turns = visit == 0 || visit + 1 == visit_count();
  return first_step(visit) + (takes_turns ? batch_count() - 1 : 0);
}

int Fetches::completed(int batch) const {
  if (visit_count() == 1) return batch;
  return first_step(visit_count() - 1) + (batch + batch_count() - 1) % batch_count();
}

int Fetches::step_count() const {
  const int computing = last_step(visit_count() - 1) + 1;
  const bool a_state_follows = visit_count() == 1 && batch_count() > 1;
  return computing + (a_state_follows ? 1 : 0);
}

int Fetches::starts(int visit) const {
  if (visit <= others_) return batch_count() - 1;
  const int during = arrangement_->starts(visit - others_);
  return during == 0 ? batch_count() - 1 : first_step(during + others_);
}

// What was passed on is computed with a step later, and a step after that come its gradients.
int Fetches::last_use(int visit) const {
  if (visit <= others_) return last_step(visit);
  const int last = arrangement_->last(visit - others_) + others_;
  return last_step(last) + (last > visit ? 1 : 0);
}

std::vector<Item> Fetches::items_for(int receiver, What what, int owner, Rows rows) const {
  const auto& problem = tables_.shards->problem;
  std::vector<Item> items;
  for (const auto& heads : heads_[static_cast<std::size_t>(teams_.member_of(receiver))]) {
    items.push_back({.what = what,
                     .owner = owner,
                     .rows = rows,
                     .heads = is_of_keys(what) ? key_heads_of(problem, heads) : heads});
  }
  return items;
}

/// Rows of `keys`, a shard, that are seen by queries which these teams compute with.
Rows Fetches::rows_for(Interval readers, const Shard& keys) {
  readers_.clear();
  teams_.add_ranks_of(readers, readers_);
  for (int visit = 1; visit < arrangement_->query_visits(); ++visit) {
    for (Index team = readers.begin; team < readers.end; ++team) {
      const Index of = arrangement_->query_owner(static_cast<int>(team), visit);
      teams_.add_ranks_of({of, of + 1}, readers_);
    }
  }
  unite(readers_);
  return Rows::covering(needs_.rows_seen(keys, {0, row_count(keys)}, readers_));
}

std::vector<Item> Fetches::queries_for(int receiver, int owner) const {
  const auto shard = tables_.shards->queries->of(owner);
  const auto seen = needs_.owners_seen(shard, *tables_.shards->keys);
  std::vector<Interval> there;
  teams_.add_ranks_of(arrangement_->key_owners(teams_.team_of(receiver)), there);
  if (shard.empty() || !meet(seen, there)) return {};
  return items_for(receiver, What::queries, owner, Rows({0, row_count(shard)}));
}

std::vector<Item> Fetches::keys_for(int receiver, const KeyVisit& visit, int owner) {
  const auto keys = tables_.shards->keys->of(owner);
  auto rows = rows_for(visit.readers, keys);
  // Readers are among those for whom they are held.
  const bool whole = rows == Rows({0, row_count(keys)});
  if (!whole && visit.from != visit.owner && visit.held_for != visit.readers) {
    rows = rows_for(visit.held_for, keys).narrowed_to(rows.intervals());
  }
  if (visit.half) {
    rows = rows.narrowed_to(Rows(half_of(*visit.half, row_count(keys))).intervals());
  }
  if (rows.empty()) return {};
  return items_for(receiver, What::keys, owner, rows);
}

std::vector<Fetches::Exchanged> Fetches::queries_got(int batch) const {
  std::vector<Exchanged> got;
  if (batch == 0) {
    const Rows all({0, row_count(tables_.shards->queries->of(rank_))});
    for (const auto& item : items_for(rank_, What::queries, rank_, all)) {
      got.push_back({item, rank_});
    }
    return got;
  }
  for (int member = 0; member < teams_.size(); ++member) {
    const int owner = teams_.rank_of(owner_of(team_, batch), member);
    if (owner == rank_) continue;
    for (const auto& item : queries_for(rank_, owner)) got.push_back({item, owner});
  }
  return got;
}

std::vector<Fetches::Exchanged> Fetches::queries_given(int batch) const {
  const int guests = batch > others_ ? arrangement_->query_guest(team_, batch - others_) : team_;
  std::vector<Exchanged> given;
  for (int member = 0; member < teams_.size(); ++member) {
    const int guest = teams_.rank_of(guests, member);
    if (guest == rank_) continue;
    for (const auto& item : queries_for(guest, rank_)) given.push_back({item, guest});
  }
  return given;
}

std::vector<ItemList> Fetches::joined(const std::vector<Exchanged>& exchanged) {
  std::vector<ItemList> lists;
  std::vector<Item> items;
  for (const auto& [first, from] : exchanged) {
    const auto has_heads = [&first = first](const ItemList& list) {
      return list.heads() == first.heads;
    };
    if (std::ranges::any_of(lists, has_heads)) continue;
    items.clear();
    for (const auto& [item, peer] : exchanged) {
      if (item.heads == first.heads) items.push_back(item);
    }
    lists.emplace_back(items);
  }
  return lists;
}

const Fetches::Visit& Fetches::latest(int visit) {
  // From when they set out until they are let go.
  const auto most = 2 * static_cast<std::size_t>(arrangement_->farthest()) + 4;
  const auto known = std::ranges::find(latest_visits_, visit, &Visit::number);
  if (known != latest_visits_.end()) return *known;
  if (latest_visits_.size() == most) latest_visits_.pop_front();
  auto got = find_keys_got(visit);
  auto keys = joined(got);
  return latest_visits_.emplace_back(Visit{visit, std::move(got), std::move(keys)});
}

std::vector<Fetches::Exchanged> Fetches::find_keys_got(int visit) {
  std::vector<Exchanged> got;
  if (visit == 0) {
    const Rows all({0, row_count(tables_.shards->keys->of(rank_))});
    for (const auto& item : items_for(rank_, What::keys, rank_, all)) got.push_back({item, rank_});
    return got;
  }
  const auto here = visit_of(team_, visit);
  for (int member = 0; member < teams_.size(); ++member) {
    const int owner = teams_.rank_of(here.owner, member);
    if (owner == rank_) continue;
    const int from =
        here.from == here.owner ? owner : teams_.rank_of(here.from, teams_.member_of(rank_));
    for (const auto& item : keys_for(rank_, here, owner)) got.push_back({item, from});
  }
  return got;
}

// What a team has itself, each of its ranks gives to all of the other team; what it has fetched is
// of the heads of a rank already.
std::vector<Fetches::Exchanged> Fetches::keys_given(int visit) {
  const int guests = visit > others_ ? arrangement_->key_guest(team_, visit - others_) : team_;
  const auto there = visit_of(guests, visit);
  const bool passes_on = there.owner != team_;
  std::vector<Exchanged> given;
  for (int member = 0; member < teams_.size(); ++member) {
    const int guest = teams_.rank_of(guests, passes_on ? teams_.member_of(rank_) : member);
    const int owner = passes_on ? teams_.rank_of(there.owner, member) : rank_;
    if (guest == rank_) continue;
    for (const auto& item : keys_for(guest, there, owner)) given.push_back({item, guest});
  }
  return given;
}

Step Fetches::step(int at) {
  Step step;
  add_releases(step, at);
  add_transfers(step, at);
  const Interval all{0, batch_count()};
  const int visit = at - batch_count() + 1;
  const int last = visit_count() - 1;
  if (all.contains(at)) {
    add_computes(step, {at, at + 1}, 0);
  } else if (visit < last) {
    add_computes(step, all, visit);
  } else if (at <= last_step(last)) {
    const int batch = (visit - last + 1) % batch_count();
    add_computes(step, {batch, batch + 1}, last);
  }
  return step;
}

void Fetches::add_computes(Step& step, Interval batches, int visit) {
  const auto& shards = *tables_.shards;
  std::vector<Shard> rows;
  for (const auto& keys : latest(visit).keys) {
    rows.clear();
    for (const auto& item : keys) rows.push_back(select(shards.keys->of(item.owner), item.rows));
    const auto sees = [&](const Item& queries) {
      const auto& shard = query_shards_.at(queries.owner);
      return std::ranges::any_of(
          rows, [&](const Shard& some) { return sees_some(shards.problem, shard, some); });
    };
    for (Index batch = batches.begin; batch < batches.end; ++batch) {
      for (const auto& queries : batches_[static_cast<std::size_t>(batch)].queries) {
        if (key_heads_of(shards.problem, queries.heads()) != keys.heads()) continue;
        if (!std::ranges::any_of(queries, sees)) continue;
        step.computes.push_back({.queries = queries, .keys = keys, .holder = rank_});
      }
    }
  }
}

Interval Fetches::visits_ahead(int at) const {
  const int now = at - batch_count() + 1;
  const int last = now + arrangement_->farthest() + others_;
  return {std::max(now, 1), std::min(last + 1, visit_count())};
}

Interval Fetches::visits_behind(int at) const {
  const int now = at - batch_count() + 1;
  const int first = now - arrangement_->farthest() - 2;
  return {std::max(first, 1), std::min(now + 1, visit_count())};
}

void Fetches::add_transfers(Step& step, int at) {
  const auto add = [](std::vector<Transfer>& transfers, const std::vector<Exchanged>& exchanged,
                      int due, int last = 0) {
    for (const auto& [item, peer] : exchanged) {
      transfers.push_back({.item = item,
                           .peer = peer,
                           .due = static_cast<std::size_t>(due),
                           .last = static_cast<std::size_t>(last)});
    }
  };
  const auto states = [](std::vector<Exchanged> queries) {
    for (auto& exchanged : queries) exchanged.item.what = What::states;
    return queries;
  };
  for (int batch = 1; batch < batch_count(); ++batch) {
    const auto& got = batches_[static_cast<std::size_t>(batch)].got;
    if (batch - 1 == at) {
      add(step.sends, queries_given(batch), batch);
      add(step.receives, got, batch);
    }
    if (completed(batch) + 1 == at) {
      // States go where the queries came from.
      add(step.sends, states(got), at + 1);
      add(step.receives, states(queries_given(batch)), at + 1);
    }
  }
  const auto [begin, end] = visits_ahead(at);
  for (int visit = static_cast<int>(begin); visit < end; ++visit) {
    if (starts(visit) != at) continue;
    add(step.sends, keys_given(visit), first_step(visit), last_use(visit));
    add(step.receives, keys_got(visit), first_step(visit), last_use(visit));
  }
}

void Fetches::add_releases(Step& step, int at) {
  const auto release = [&](const std::vector<Exchanged>& got) {
    for (const auto& [item, peer] : got) step.releases.push_back(item);
  };
  const auto [begin, end] = visits_behind(at);
  for (int visit = static_cast<int>(begin); visit < end; ++visit) {
    if (last_use(visit) + 1 == at) release(keys_got(visit));
  }
  for (int batch = 1; batch < batch_count(); ++batch) {
    if (completed(batch) + 2 == at) release(batches_[static_cast<std::size_t>(batch)].got);
  }
}

// What is done to queries and keys is the same again; what was done with states is done with
// gradients of queries. Gradients of keys follow these back.
Program Fetches::backward(const Program& forward) const {
  const std::size_t count = forward.steps.size();
  // Those of the last keys go back in one step, and in another one those of what was passed on.
  const bool passes_on = arrangement_->farthest() > 1;
  Program backward;
  backward.steps.resize(count + (passes_on ? 2 : 1));
  const std::size_t end = backward.steps.size();
  // Gradients take as long as the keys did.
  const auto home = [&](const Transfer& keys, std::size_t started) {
    return std::min(keys.last + 1 + keys.due - started, end);
  };
  const auto both_ways = [&](std::size_t at, auto to, auto back) {
    for (const auto& transfer : forward.steps[at].*to) {
      auto& transfers = backward.steps[at].*to;
      const auto what = transfer.item.what;
      auto again = transfer;
      if (what == What::states) again.item.what = What::query_gradients;
      transfers.push_back(again);
      if (what == What::queries) {
        again.item.what = What::output_gradients;
        transfers.push_back(again);
      }
      if (what != What::keys) continue;
      (backward.steps[transfer.last + 1].*back)
          .push_back({.item = transfer.item.as(What::key_gradients),
                      .peer = transfer.peer,
                      .due = home(transfer, at)});
    }
  };
  for (std::size_t at = 0; at < count; ++at) {
    auto& step = backward.steps[at];
    step.computes = forward.steps[at].computes;
    for (const auto& item : forward.steps[at].releases) {
      step.releases.push_back(item);
      if (item.what == What::queries) step.releases.push_back(item.as(What::output_gradients));
    }
    both_ways(at, &Step::sends, &Step::receives);
    both_ways(at, &Step::receives, &Step::sends);
    for (const auto& receive : forward.steps[at].receives) {
      if (receive.item.what != What::keys) continue;
      const auto sums = receive.item.as(What::key_gradients);
      const std::size_t sent = home(receive, at);
      backward.steps[receive.due].begins.push_back(sums);
      if (sent < end) backward.steps[sent].releases.push_back(sums);
    }
  }
  return backward;
}

}  // namespace annulus::schedules
