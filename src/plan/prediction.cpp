#include "annulus/plan/prediction.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "plan/some_of.hpp"
#include "plan/step_seconds.hpp"

namespace annulus {
namespace {

/// Seconds that add up, of which those that are counted stand for more or fewer.
struct Sum {
  double now = 0;
  double since = 0;
  double counted = 0;

  void begin_counting() { since = now; }
  void count(double weight) { counted += weight * (now - since); }
};

/// One direction of a port.
struct Use {
  double free = 0;  // from when on
  Sum seconds{};    // in use
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
  double ranks_of_core = 1;  // that take turns on it
  Link* link = nullptr;
  Port inside{};  // to ranks of its node
  Sum time{};
  Sum waited{};
  Sum computed{};
  std::map<std::size_t, double> due{};  // by step: when what it waits for is there

  [[nodiscard]] double now() const { return time.now; }
  void wait_until(double moment) {
    if (moment <= now()) return;
    waited.now += moment - now();
    time.now = moment;
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

/// Steps that are followed, of which the first `lead` only get transfers under way; each of the
/// others stands for `weight` steps.
struct Part {
  Interval steps;
  Index lead = 0;
  double weight = 1;
};

/// All of `count` steps or, of many more than `most`, about as many: the first and the last for
/// themselves, and some in between for all that are. What repeats does so every `period` steps.
std::vector<Part> parts_of(std::size_t count, std::size_t most, Index period) {
  constexpr Index middle_parts = 6;
  const auto end = static_cast<Index>(count);
  const Index lead = std::max<Index>(4, period);
  const Index length =
      ceil_div(std::max<Index>(1, static_cast<Index>(most / (middle_parts + 2))), period) * period;
  if (count <= most || end <= (middle_parts + 2) * (lead + length)) return {{.steps = {0, end}}};
  const auto led = [&](Index begin, double weight) {
    const Index before = std::min(lead, begin);
    return Part{.steps = {begin - before, begin + length}, .lead = before, .weight = weight};
  };
  std::vector<Part> parts{led(0, 1)};
  const Index between = end - 2 * length;
  for (Index i = 0; i < middle_parts; ++i) {
    const Index middle = length + (2 * i + 1) * between / (2 * middle_parts);
    parts.push_back(led(middle - length / 2,
                        static_cast<double>(between) / static_cast<double>(middle_parts * length)));
  }
  parts.push_back(led(end - length, 1));
  return parts;
}

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
      const double cores = machine.cores == 0 ? static_cast<double>(mates.size()) : machine.cores;
      followers_.push_back(
          {.rank = rank,
           .node = node,
           .ranks_of_core = std::max(1.0, static_cast<double>(mates.size()) / cores),
           .link = &link});
    }
  }

  /// Goes through the steps of a part, a list for each rank.
  void follow(const Part& part, const std::vector<std::vector<Step>>& programs,
              const StepSeconds& seconds) {
    for (Index step = part.steps.begin; step < part.steps.end; ++step) {
      const auto place = static_cast<std::size_t>(step - part.steps.begin);
      std::vector<const Step*> parts;
      for (const auto& steps : programs) parts.push_back(&steps[place]);
      arrive(static_cast<std::size_t>(step));
      if (step == part.steps.begin + part.lead) {
        for_each_sum([](Sum& sum) { sum.begin_counting(); });
      }
      if (plan_.reads_in_place()) meet();
      start_transfers(parts);
      for (std::size_t at = 0; at < followers_.size(); ++at) {
        const double computed = seconds.of(*parts[at]);
        followers_[at].time.now += computed;
        followers_[at].computed.now += computed;
      }
    }
    arrive(static_cast<std::size_t>(part.steps.end));
    for_each_sum([&](Sum& sum) { sum.count(part.weight); });
  }

  /// What was counted until now takes so long.
  [[nodiscard]] double latest() const {
    double latest = 0;
    for (const auto& follower : followers_) latest = std::max(latest, follower.time.counted);
    return latest;
  }

  /// What was counted takes, with what comes before and after all steps. Ranks were followed as if
  /// each had a core: where they share cores, one that waits leaves its own to others, and what all
  /// of a node are busy with fits into no less time than its cores need for it.
  [[nodiscard]] Prediction prediction(const StepSeconds& seconds) const {
    Prediction prediction;
    std::map<std::size_t, std::vector<double>> busy;  // of the ranks of a node
    for (const auto& follower : followers_) {
      const double own = seconds.of_queries(follower.rank);
      const double computed = (follower.computed.counted + own) * follower.ranks_of_core;
      prediction.seconds = std::max(prediction.seconds, follower.time.counted + own);
      prediction.exposed_seconds = std::max(prediction.exposed_seconds, follower.waited.counted);
      prediction.compute_seconds = std::max(prediction.compute_seconds, computed);
      prediction.mean_seconds += computed / static_cast<double>(followers_.size());
      busy[follower.node].push_back((follower.time.counted - follower.waited.counted + own) *
                                    follower.ranks_of_core);
    }
    for (const auto& [node, ranks] : busy) {
      const double mean =
          std::accumulate(ranks.begin(), ranks.end(), 0.0) / static_cast<double>(ranks.size());
      prediction.seconds = std::max(prediction.seconds, mean);
    }
    for (const auto& [name, link] : links_) {
      prediction.link_seconds = std::max(
          {prediction.link_seconds, link.port.out.seconds.counted, link.port.in.seconds.counted});
    }
    return prediction;
  }

 private:
  template <class Do>
  void for_each_sum(const Do& act) {
    for (auto& follower : followers_) {
      for (auto* sum : {&follower.time, &follower.waited, &follower.computed}) act(*sum);
    }
    for (auto& [name, link] : links_) {
      for (auto* use : {&link.port.out, &link.port.in}) act(use->seconds);
    }
  }

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
      last[follower.node] = std::max(last[follower.node], follower.now());
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
        messages.push_back({.start = to == nullptr ? own.now() : std::max(own.now(), to->now()),
                            .due = send.due,
                            .from = &own,
                            .to = to,
                            .bytes = plan_.bytes(send.item),
                            .inside = is_inside(own.rank, send.peer)});
      }
      for (const auto& receive : parts[i]->receives) {
        if (follower_of(receive.peer) != nullptr) continue;
        messages.push_back({.start = own.now(),
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
    // Those that set out together share the link, and are there together.
    std::map<std::pair<const Link*, std::size_t>, double> last;
    std::vector<double> there;
    for (const auto& message : messages) {
      there.push_back(carry(message));
      if (message.inside) continue;
      auto& shared = last[{link_of(message), message.due}];
      shared = std::max(shared, there.back());
    }
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const auto& message = messages[i];
      deliver(message, message.inside ? there[i] : last[{link_of(message), message.due}]);
    }
  }

  /// Of its sender, if that is followed.
  [[nodiscard]] static Link* link_of(const Message& message) {
    return (message.from == nullptr ? message.to : message.from)->link;
  }

  [[nodiscard]] bool is_inside(int rank, int peer) const {
    return node_of_[static_cast<std::size_t>(rank)] == node_of_[static_cast<std::size_t>(peer)];
  }

  /// When it is there if others let it go first.
  [[nodiscard]] double carry(const Message& message) {
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
      const auto& link = *link_of(message);
      seconds *= static_cast<double>(link.ranks) / link.followed;
    }
    for (auto* use : uses) {
      if (use == nullptr) continue;
      use->free = start + seconds;
      use->seconds.now += seconds;
    }
    return start + seconds + cost.latency;
  }

  void deliver(const Message& message, double there) {
    const auto& cost = message.inside ? machine_.inside : machine_.between;
    for (auto* side : {message.from, message.to}) {
      if (side == nullptr) continue;
      auto& due = side->due[message.due];
      due = std::max(due, there);
      side->time.now += static_cast<double>(message.bytes) * cost.busy_per_byte;
    }
  }

  const Plan& plan_;
  const Machine& machine_;
  std::vector<std::size_t> node_of_;
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;  // by node, and number on it
  std::vector<Follower> followers_;                            // by rank
};

}  // namespace

Prediction predict(const Plan& plan, const Topology& topology, Pass pass, const Machine& machine,
                   const PredictionOptions& options) {
  const auto ranks = some_of(topology.ranks, options.most_ranks);
  const double cores = cores_of_rank(machine, options.threads, node_sizes(topology).most);
  const StepSeconds seconds(plan, pass, machine, std::max(cores, 1.0));
  Replay replay(plan, ranks_of_nodes(topology), machine, ranks);
  std::vector<std::vector<Step>> programs(ranks.size());
  if (pass == Pass::backward) {
    for (std::size_t i = 0; i < ranks.size(); ++i) programs[i] = plan.program(ranks[i], pass).steps;
    replay.follow({.steps = {0, std::ssize(programs.front())}}, programs, seconds);
    return replay.prediction(seconds);
  }
  const Index period = std::max(plan.schedule().inner, 1);
  for (const auto& part : parts_of(plan.step_count(), options.most_steps, period)) {
    for (std::size_t i = 0; i < ranks.size(); ++i) programs[i] = plan.steps(ranks[i], part.steps);
    replay.follow(part, programs, seconds);
    if (replay.latest() > options.enough) break;
  }
  return replay.prediction(seconds);
}

}  // namespace annulus
