#include "annulus/plan/prediction.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "plan/some_of.hpp"
#include "plan/step_seconds.hpp"

namespace annulus {
namespace {

/// One direction of a port, which carries one message after the other.
struct Use {
  double free = 0;     // from when on
  double seconds = 0;  // in use so far
};

struct Port {
  Use out{};
  Use in{};
};

/// From a node to others.
struct Link {
  int ranks = 0;  // that use it
  int followed = 0;
  Port port{};
};

/// One rank that is followed.
struct Follower {
  int rank = 0;
  std::size_t node = 0;
  Link* link = nullptr;
  Port inside{};  // to ranks of its node
  double now = 0;
  double waited = 0;
  double computed = 0;
  std::map<std::size_t, double> due{};  // by step: when what it waits for is there

  void wait_until(double moment) {
    if (moment <= now) return;
    waited += moment - now;
    now = moment;
  }
};

/// A message that starts in a step.
struct Message {
  double start;  // when both sides are there
  std::size_t due;
  Follower* from;  // null: not followed
  Follower* to;
  Index bytes;
  bool inside;
};

class Replay {
 public:
  /// `nodes` are the ranks of each.
  Replay(const Plan& plan, const std::vector<std::vector<int>>& nodes, const Machine& machine,
         const std::vector<int>& ranks)
      : plan_(plan), machine_(machine), node_of_(static_cast<std::size_t>(plan.ranks())) {
    for (std::size_t node = 0; node < nodes.size(); ++node) {
      for (const int rank : nodes[node]) node_of_[static_cast<std::size_t>(rank)] = node;
    }
    for (const int rank : ranks) {
      const auto node = node_of_[static_cast<std::size_t>(rank)];
      const auto& mates = nodes[node];
      const auto links =
          std::clamp<std::size_t>(static_cast<std::size_t>(machine.links), 1, mates.size());
      const auto link_of = [&](std::size_t place) { return place * links / mates.size(); };
      const auto place = static_cast<std::size_t>(std::ranges::find(mates, rank) - mates.begin());
      const std::pair name{node, link_of(place)};
      auto& link = links_[name];
      ++link.followed;
      link.ranks = 0;
      for (std::size_t mate = 0; mate < mates.size(); ++mate) {
        if (link_of(mate) == name.second) ++link.ranks;
      }
      followers_.push_back({.rank = rank, .node = node, .link = &link});
    }
  }

  /// Goes through steps `first` and on, a list for each rank.
  void follow(Index first, const std::vector<std::vector<Step>>& programs,
              const StepSeconds& seconds) {
    const auto count = programs.front().size();
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<const Step*> parts;
      for (const auto& steps : programs) parts.push_back(&steps[i]);
      arrive(static_cast<std::size_t>(first) + i);
      if (plan_.reads_in_place()) meet();
      start_transfers(parts);
      for (std::size_t at = 0; at < followers_.size(); ++at) {
        const double computed = seconds.of(*parts[at]);
        followers_[at].now += computed;
        followers_[at].computed += computed;
      }
    }
    arrive(static_cast<std::size_t>(first) + count);
  }

  [[nodiscard]] double latest() const {
    double latest = 0;
    for (const auto& follower : followers_) latest = std::max(latest, follower.now);
    return latest;
  }

  /// What all steps take, which are `scale` times those that were followed, and what comes before
  /// and after them.
  [[nodiscard]] Prediction prediction(double scale, const StepSeconds& seconds) const {
    Prediction prediction;
    for (const auto& follower : followers_) {
      const double own = seconds.of_queries(follower.rank);
      const double computed = follower.computed * scale + own;
      prediction.seconds = std::max(prediction.seconds, follower.now * scale + own);
      prediction.exposed_seconds = std::max(prediction.exposed_seconds, follower.waited * scale);
      prediction.compute_seconds = std::max(prediction.compute_seconds, computed);
      prediction.mean_seconds += computed / static_cast<double>(followers_.size());
    }
    for (const auto& [name, link] : links_) {
      prediction.link_seconds = std::max(
          {prediction.link_seconds, link.port.out.seconds * scale, link.port.in.seconds * scale});
    }
    return prediction;
  }

 private:
  /// What is due by `step` is waited for.
  void arrive(std::size_t step) {
    for (auto& follower : followers_) {
      auto& due = follower.due;
      for (; !due.empty() && due.begin()->first <= step; due.erase(due.begin())) {
        follower.wait_until(due.begin()->second);
      }
    }
  }

  /// Ranks of a node begin a step together where they read each other's keys.
  void meet() {
    std::map<std::size_t, double> last;
    for (const auto& follower : followers_) {
      last[follower.node] = std::max(last[follower.node], follower.now);
    }
    for (auto& follower : followers_) follower.wait_until(last[follower.node]);
  }

  [[nodiscard]] Follower* follower_of(int rank) {
    const auto found = std::ranges::lower_bound(followers_, rank, {}, &Follower::rank);
    return found != followers_.end() && found->rank == rank ? &*found : nullptr;
  }

  void start_transfers(const std::vector<const Step*>& parts) {
    std::vector<Message> messages;
    for (std::size_t i = 0; i < followers_.size(); ++i) {
      auto& own = followers_[i];
      for (const auto& send : parts[i]->sends) {
        auto* to = follower_of(send.peer);
        messages.push_back({.start = to == nullptr ? own.now : std::max(own.now, to->now),
                            .due = send.due,
                            .from = &own,
                            .to = to,
                            .bytes = plan_.bytes(send.item),
                            .inside = is_inside(own.rank, send.peer)});
      }
      for (const auto& receive : parts[i]->receives) {
        if (follower_of(receive.peer) != nullptr) continue;
        messages.push_back({.start = own.now,
                            .due = receive.due,
                            .from = nullptr,
                            .to = &own,
                            .bytes = plan_.bytes(receive.item),
                            .inside = is_inside(own.rank, receive.peer)});
      }
    }
    std::ranges::stable_sort(messages, [](const Message& one, const Message& other) {
      return one.start != other.start ? one.start < other.start : one.due > other.due;
    });
    for (const auto& message : messages) carry(message);
  }

  [[nodiscard]] bool is_inside(int rank, int peer) const {
    return node_of_[static_cast<std::size_t>(rank)] == node_of_[static_cast<std::size_t>(peer)];
  }

  void carry(const Message& message) {
    const auto& cost = message.inside ? machine_.inside : machine_.between;
    const auto bytes = static_cast<double>(message.bytes);
    const auto port_of = [&](Follower& follower) -> Port& {
      return message.inside ? follower.inside : follower.link->port;
    };
    std::array<Use*, 2> uses{message.from == nullptr ? nullptr : &port_of(*message.from).out,
                             message.to == nullptr ? nullptr : &port_of(*message.to).in};
    double start = message.start;
    for (const auto* use : uses) {
      if (use != nullptr) start = std::max(start, use->free);
    }
    double seconds = bytes / cost.bytes_per_second;
    if (!message.inside) {
      // Those ranks of the link that are not followed send and receive as much.
      const auto& link = *(message.from == nullptr ? message.to : message.from)->link;
      seconds *= static_cast<double>(link.ranks) / link.followed;
    }
    for (auto* use : uses) {
      if (use == nullptr) continue;
      use->free = start + seconds;
      use->seconds += seconds;
    }
    const double there = start + seconds + cost.latency;
    for (auto* side : {message.from, message.to}) {
      if (side == nullptr) continue;
      auto& due = side->due[message.due];
      due = std::max(due, there);
      side->now += bytes * cost.busy_per_byte;
    }
  }

  const Plan& plan_;
  const Machine& machine_;
  std::vector<std::size_t> node_of_;
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;  // by node, and number on it
  std::vector<Follower> followers_;                            // by rank
};

/// Parts of `count` steps that have about `most`: all of them, or eight from the first to the last.
std::vector<Interval> parts_of(std::size_t count, std::size_t most) {
  if (count <= most) return {{0, static_cast<Index>(count)}};
  constexpr int parts = 8;
  const int length = std::max(1, static_cast<int>(most) / parts);
  std::vector<Interval> intervals;
  for (const int begin : some_of(static_cast<int>(count) - length + 1, parts)) {
    intervals.push_back({begin, begin + length});
  }
  return intervals;
}

}  // namespace

Prediction predict(const Plan& plan, const Topology& topology, Pass pass, const Machine& machine,
                   const PredictionOptions& options) {
  const auto ranks = some_of(topology.ranks, options.most_ranks);
  const auto nodes = ranks_of_nodes(topology);
  const auto largest = std::ranges::max(nodes, {}, &std::vector<int>::size).size();
  const StepSeconds seconds(plan, pass, machine, options.threads, static_cast<int>(largest));
  Replay replay(plan, nodes, machine, ranks);
  std::vector<std::vector<Step>> programs(ranks.size());
  if (pass == Pass::backward) {
    for (std::size_t i = 0; i < ranks.size(); ++i) programs[i] = plan.program(ranks[i], pass).steps;
    replay.follow(0, programs, seconds);
    return replay.prediction(1, seconds);
  }
  const auto parts = parts_of(plan.step_count(), options.most_steps);
  const double scale =
      static_cast<double>(plan.step_count()) /
      (static_cast<double>(parts.size()) * static_cast<double>(parts.front().size()));
  for (const auto& part : parts) {
    for (std::size_t i = 0; i < ranks.size(); ++i) programs[i] = plan.steps(ranks[i], part);
    replay.follow(part.begin, programs, seconds);
    if (replay.latest() * scale > options.enough) break;
  }
  return replay.prediction(scale, seconds);
}

}  // namespace annulus
