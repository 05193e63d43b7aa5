#include "plan/simulation.hpp"

#include <algorithm>
#include <array>
#include <deque>

#include <gtest/gtest.h>

#include "annulus/plan/heads.hpp"

namespace annulus::test {
namespace {

/// A message, as its sender or its receiver knows it.
struct Message {
  Item item;
  bool returns = false;
  friend bool operator==(const Message&, const Message&) = default;
};

/// Messages that a rank starts together and that are due together.
struct Exchange {
  std::vector<std::pair<int, std::size_t>> to;  // peer, and which message to it this is
  std::vector<std::pair<int, std::size_t>> from;
};

class Simulator {
 public:
  Simulator(const Plan& plan, Pass pass)
      : plan_(plan), pass_(pass), ranks_(static_cast<std::size_t>(plan.ranks())) {
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      programs_.push_back(plan.program(rank, pass));
      held_.emplace_back();
      kept_.push_back(plan.program(rank).kept);
    }
    const auto& documents = plan.problem().documents;
    heads_ = static_cast<std::size_t>(plan.problem().query_heads);
    const std::vector<std::vector<int>> none(
        static_cast<std::size_t>(documents.queries()),
        std::vector<int>(static_cast<std::size_t>(documents.keys())));
    pairs_.assign(heads_, none);
    simulation_.gradients.assign(static_cast<std::size_t>(documents.keys()),
                                 std::vector<int>(ranks_ * heads_));
  }

  Simulation run() {
    const std::size_t steps = programs_.front().steps.size();
    for (const auto& program : programs_) EXPECT_EQ(program.steps.size(), steps);
    for (std::size_t step = 0; step <= steps; ++step) {
      for_each_rank([&](int rank) { arrive(rank, step); });
      if (step == steps) break;
      for_each_rank([&](int rank) { let_go(rank, step); });
      for_each_rank([&](int rank) { start(rank, step); });
      for_each_rank([&](int rank) { compute(rank, step); });
    }
    for (const auto& [peers, messages] : sent_) EXPECT_EQ(messages, received_[peers]);
    for (const auto& [peers, messages] : received_) EXPECT_EQ(messages, sent_[peers]);
    for_each_rank([&](int rank) {
      if (pass_ == Pass::backward) {
        EXPECT_TRUE(kept_[at(rank)].empty()) << rank << " kept something for nothing";
      }
    });
    expect_progress();
    EXPECT_TRUE(met_.empty()) << "what was made of some queries did not come home";
    for (const auto& pairs : pairs_) EXPECT_EQ(pairs, pairs_.front()) << "heads differ";
    simulation_.pairs = pairs_.front();
    return std::move(simulation_);
  }

 private:
  // Of each packed key row, how often from the queries of each rank and head.
  using Sums = std::map<Index, std::vector<int>>;
  struct Pair {
    std::size_t head;
    std::size_t query;
    std::size_t key;
  };

  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }
  template <class Visit>
  void for_each_rank(const Visit& visit) {
    for (int rank = 0; rank < plan_.ranks(); ++rank) visit(rank);
  }
  std::vector<Item>& held(int rank) { return held_[at(rank)]; }

  [[nodiscard]] std::vector<Index> packed_keys(const Item& item) const {
    return packed_rows(select(plan_.key_shard(item.owner), item.rows),
                       plan_.problem().documents.key_offsets());
  }

  /// Whether the rank has the rows of an item, exactly or among others.
  [[nodiscard]] bool has(int rank, const Item& item) const {
    if (item.owner == rank) return true;
    return std::ranges::any_of(held_[at(rank)], [&](const Item& one) {
      return one.what == item.what && one.owner == item.owner && one.rows.contains(item.rows) &&
             one.heads == item.heads;
    });
  }

  /// Places in counts that are of the heads of an item of keys.
  template <class Visit>
  void for_each_count(const Item& item, const Visit& visit) const {
    const auto group = static_cast<Index>(heads_) / plan_.problem().key_heads;
    for (std::size_t of = 0; of < ranks_; ++of) {
      for (Index h = item.heads.begin * group; h < item.heads.end * group; ++h) {
        visit(of * heads_ + static_cast<std::size_t>(h));
      }
    }
  }

  /// What has been made of queries is known to their owner.
  void note_pairs(int rank, const Item& queries) {
    for (const auto& [head, query, key] : met_[{rank, key_of(queries)}]) ++pairs_[head][query][key];
    met_.erase({rank, key_of(queries)});
  }
  static std::array<Index, 3> key_of(const Item& queries) {
    return {queries.owner, queries.heads.begin, queries.heads.end};
  }

  void arrive(int rank, std::size_t step) {
    for (std::size_t from = 0; from < step; ++from) {
      for (const auto& receive : programs_[at(rank)].steps[from].receives) {
        if (receive.due != step) continue;
        const auto what = receive.item.what;
        if (what == What::states || what == What::query_gradients) {
          EXPECT_EQ(receive.item.owner, rank);
          note_pairs(receive.peer, receive.item);
        } else if (what != What::key_gradients) {
          EXPECT_NE(receive.item.owner, rank);
          held(rank).push_back(receive.item);
        } else {
          EXPECT_TRUE(has(rank, receive.item)) << "gradients of what " << rank << " has not";
          add_arrived(rank, receive);
        }
      }
    }
  }

  void let_go(int rank, std::size_t step) {
    const auto& now = programs_[at(rank)].steps[step];
    for (const auto& item : now.takes) {
      EXPECT_EQ(std::erase(kept_[at(rank)], item), 1U) << rank << " takes what it has not kept";
      held(rank).push_back(item);
    }
    for (const auto& item : now.releases) {
      EXPECT_EQ(std::erase(held(rank), item), 1U) << rank << " lets go of what it has not";
      if (item.what == What::key_gradients) forget(rank, item);
    }
    for (const auto& item : now.begins) {
      EXPECT_EQ(item.what, What::key_gradients);
      held(rank).push_back(item);
      forget(rank, item);
    }
  }

  void start(int rank, std::size_t step) {
    const auto& now = programs_[at(rank)].steps[step];
    std::map<std::size_t, Exchange, std::greater<>> exchanges;  // by due, as the engine starts them
    for (const auto& send : now.sends) {
      EXPECT_NE(send.peer, rank);
      EXPECT_GT(send.due, step);
      EXPECT_LE(send.due, programs_[at(rank)].steps.size());
      const bool made = send.item.what == What::states || send.item.what == What::query_gradients;
      EXPECT_TRUE(has(rank, made ? send.item.as(What::queries) : send.item))
          << rank << " sends what it has not";
      if (made) sent_home_.insert({rank, key_of(send.item)});
      EXPECT_FALSE(send.item.rows.empty());
      const auto peers = plan_.peers(rank);
      EXPECT_TRUE(std::ranges::find(peers, send.peer) == peers.end())
          << "what a peer needs is not sent";
      auto& messages = sent_[{rank, send.peer}];
      exchanges[send.due].to.emplace_back(send.peer, messages.size());
      messages.push_back({send.item, send.returns});
      if (send.item.what == What::keys) {
        ++simulation_.sends;
        simulation_.rows_sent += send.item.rows.count();
      } else if (send.item.what == What::key_gradients) {
        travelling_[{rank, send.peer}].push_back(sums_of(rank, send.item));
      }
    }
    for (const auto& receive : now.receives) {
      EXPECT_GT(receive.due, step);
      auto& messages = received_[{receive.peer, rank}];
      exchanges[receive.due].from.emplace_back(receive.peer, messages.size());
      messages.push_back({receive.item, receive.returns});
    }
    for (auto& [due, exchange] : exchanges) exchanges_[rank].push_back(std::move(exchange));
  }

  /// The sums that a rank has of the rows of an item.
  [[nodiscard]] Sums sums_of(int rank, const Item& item) {
    Sums some;
    const auto& all = sums_[{rank, item.owner}];
    for (const Index row : packed_keys(item)) {
      const auto found = all.find(row);
      if (found == all.end()) continue;
      auto& counts = some.try_emplace(row, std::vector<int>(ranks_ * heads_)).first->second;
      for_each_count(item, [&](std::size_t place) { counts[place] = found->second[place]; });
    }
    return some;
  }

  void forget(int rank, const Item& item) {
    auto& all = sums_[{rank, item.owner}];
    for (const Index row : packed_keys(item)) {
      const auto found = all.find(row);
      if (found == all.end()) continue;
      for_each_count(item, [&](std::size_t place) { found->second[place] = 0; });
    }
  }

  void add_arrived(int rank, const Transfer& receive) {
    auto& travelling = travelling_[{receive.peer, rank}];
    ASSERT_FALSE(travelling.empty()) << "gradients arrive that were not sent";
    auto& sums = sums_[{rank, receive.item.owner}];
    for (const auto& [row, counts] : travelling.front()) {
      auto& mine = sums.try_emplace(row, std::vector<int>(counts.size())).first->second;
      for (std::size_t from = 0; from < counts.size(); ++from) mine[from] += counts[from];
    }
    travelling.pop_front();
    note_own(rank);
  }

  void note_own(int rank) {
    for (const auto& [row, counts] : sums_[{rank, rank}]) {
      simulation_.gradients[static_cast<std::size_t>(row)] = counts;
    }
  }

  void compute(int rank, std::size_t step) {
    const auto& problem = plan_.problem();
    const auto peers = plan_.peers(rank);
    for (const auto& compute : programs_[at(rank)].steps[step].computes) {
      EXPECT_TRUE(std::ranges::find(peers, compute.holder) != peers.end());
      expect_piece(rank, step, compute);
      for (const auto& queries : compute.queries) {
        EXPECT_TRUE(has(rank, queries)) << rank << " computes with queries that it has not";
        EXPECT_TRUE(pass_ == Pass::forward || has(rank, queries.as(What::output_gradients)));
        EXPECT_FALSE(sent_home_.contains({rank, key_of(queries)})) << "too late to count";
        EXPECT_EQ(queries.heads, compute.queries.heads());
        EXPECT_EQ(key_heads_of(problem, queries.heads), compute.keys.heads());
        for (const auto& keys : compute.keys) meet(rank, queries, keys, compute.holder);
        if (queries.owner == rank) note_pairs(rank, queries);
      }
    }
  }

  /// Keys of several owners have arrived together, for a step that computes with all of them.
  void expect_piece(int rank, std::size_t step, const Compute& compute) const {
    if (compute.keys.size() == 1) return;
    const auto& steps = programs_[at(rank)].steps;
    std::set<std::pair<std::size_t, std::size_t>> arrivals;  // when they set out and are there
    for (const auto& keys : compute.keys) {
      EXPECT_EQ(keys.heads, compute.keys.heads());
      for (std::size_t from = 0; from < step; ++from) {
        for (const auto& receive : steps[from].receives) {
          if (receive.item == keys) arrivals.insert({from, receive.due});
        }
      }
    }
    ASSERT_EQ(arrivals.size(), 1U) << "they come one after the other";
    for (const auto& keys : compute.keys) {
      const auto there = programs_[at(rank)].piece_of(keys, arrivals.begin()->second);
      EXPECT_EQ(there, compute.keys) << "they lie apart";
    }
  }

  void meet(int rank, const Item& queries, const Item& keys, int holder) {
    const auto& problem = plan_.problem();
    EXPECT_TRUE(keys.owner == holder || std::ranges::find(held(holder), keys) != held(holder).end())
        << rank << " computes with what " << holder << " has not";
    const auto blocks = plan_.blocks({queries, keys, holder});
    if (blocks.empty()) return;
    simulation_.met.insert({rank, keys.owner});
    const auto rows_of_queries = packed_rows(select(plan_.query_shard(queries.owner), queries.rows),
                                             problem.documents.query_offsets());
    const auto rows = packed_keys(keys);
    auto& met = met_[{rank, key_of(queries)}];
    for (const auto& block : blocks) {
      for (Index i = 0; i < block.queries.count; ++i) {
        const auto [begin, end] = block.visible(i);
        const auto query = rows_of_queries[static_cast<std::size_t>(block.queries.row + i)];
        for (Index j = begin; j < end; ++j) {
          const auto key = rows[static_cast<std::size_t>(block.keys.row + j)];
          for (Index h = queries.heads.begin; h < queries.heads.end; ++h) {
            met.push_back({static_cast<std::size_t>(h), static_cast<std::size_t>(query),
                           static_cast<std::size_t>(key)});
          }
        }
      }
    }
    if (pass_ == Pass::forward) return;
    auto& sums = sums_[{holder, keys.owner}];
    for (const Index row : rows) {
      auto& counts = sums.try_emplace(row, std::vector<int>(ranks_ * heads_)).first->second;
      for (Index h = queries.heads.begin; h < queries.heads.end; ++h) {
        ++counts[at(queries.owner) * heads_ + static_cast<std::size_t>(h)];
      }
    }
    if (holder == keys.owner) note_own(holder);
  }

  /// Ranks that finish each exchange before they start the next one come to their ends.
  void expect_progress() {
    std::map<int, std::size_t> started;  // exchanges of each rank
    const auto under_way = [&](int rank, bool sends, std::pair<int, std::size_t> message) {
      const auto& all = exchanges_[rank];
      for (std::size_t i = 0; i < std::min(started[rank] + 1, all.size()); ++i) {
        const auto& list = sends ? all[i].to : all[i].from;
        if (std::ranges::find(list, message) != list.end()) return true;
      }
      return false;
    };
    for (bool moved = true; moved;) {
      moved = false;
      for_each_rank([&](int rank) {
        if (started[rank] == exchanges_[rank].size()) return;
        const auto& exchange = exchanges_[rank][started[rank]];
        const auto peer_is_there = [&](bool sends, const std::pair<int, std::size_t>& message) {
          return under_way(message.first, sends, {rank, message.second});
        };
        const bool done =
            std::ranges::all_of(exchange.to, [&](auto& m) { return peer_is_there(false, m); }) &&
            std::ranges::all_of(exchange.from, [&](auto& m) { return peer_is_there(true, m); });
        if (!done) return;
        ++started[rank];
        moved = true;
      });
    }
    for_each_rank([&](int rank) {
      EXPECT_EQ(started[rank], exchanges_[rank].size()) << rank << " waits for ever";
    });
  }

  const Plan& plan_;
  Pass pass_;
  std::size_t ranks_;
  std::vector<Program> programs_;
  std::vector<std::vector<Item>> held_;
  std::vector<std::vector<Item>> kept_;                       // of the forward pass
  std::map<std::pair<int, int>, std::vector<Message>> sent_;  // from and to; by order
  std::map<std::pair<int, int>, std::vector<Message>> received_;
  std::map<std::pair<int, int>, Sums> sums_;  // of a holder and an owner
  std::map<std::pair<int, int>, std::deque<Sums>> travelling_;
  std::map<int, std::vector<Exchange>> exchanges_;
  std::size_t heads_ = 0;
  std::vector<std::vector<std::vector<int>>> pairs_;  // of each head
  // What a rank has made of queries that has not come home, and of which that has been sent.
  std::map<std::pair<int, std::array<Index, 3>>, std::vector<Pair>> met_;
  std::set<std::pair<int, std::array<Index, 3>>> sent_home_;
  Simulation simulation_;
};

}  // namespace

Simulation simulate(const Plan& plan, Pass pass) {
  return Simulator(plan, pass).run();
}

}  // namespace annulus::test
