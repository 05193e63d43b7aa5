#pragma once
// Who holds what, what moves when, and what is computed where: a pure value that can be printed,
// checked and executed.

#include <optional>
#include <string>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/plan/block.hpp"
#include "annulus/plan/machine_model.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/plan/schedule.hpp"
#include "annulus/plan/sharding.hpp"
#include "annulus/plan/topology.hpp"

namespace annulus {

/// One hop of a shard of keys and values. `rank` sends the shard of `owner` on to `to`, or
/// receives it from `from`; -1 where there is nothing to send or receive.
struct Hop {
  int send_owner = -1;
  int to = -1;
  int receive_owner = -1;
  int from = -1;
};

/// Keys that meet the local queries: the shard of `owner`, which `holder` holds, the rank itself or
/// another one of its node.
struct Read {
  int owner = -1;
  int holder = -1;

  friend bool operator==(const Read&, const Read&) = default;
};

/// What one rank does in one step: first start the hop, then compute, then finish the hop.
struct RankStep {
  std::vector<Read> reads;  ///< what it computes with, in this order
  Hop hop;
};

/// A step of all ranks. What is received in a step is what its receiver holds in the next one.
struct Step {
  std::vector<RankStep> ranks;

  /// Whether the shard that `rank` sends must come back to it in the backward pass: not where it is
  /// the rank's own, nor where nothing takes its place, so that the rank still has it at the end.
  [[nodiscard]] bool comes_back(int rank) const {
    const auto& hop = ranks[static_cast<std::size_t>(rank)].hop;
    return hop.to >= 0 && hop.send_owner != rank && hop.from >= 0;
  }
};

/// The plan of one attention call.
struct Plan {
  Problem problem;
  int ranks = 1;
  Sharding sharding = Sharding::contiguous;      ///< of queries
  Sharding key_sharding = Sharding::contiguous;  ///< of keys and values
  Schedule schedule = Schedule::ring;
  DataType data_type = DataType::float32;  ///< in which keys and values travel
  /// Ranks that read each other's memory, as many on every node; with `ring`, each is by itself.
  std::vector<std::vector<int>> nodes;
  std::vector<Shard> query_shards;  ///< one per rank
  std::vector<Shard> key_shards;    ///< one per rank
  std::vector<Step> steps;

  [[nodiscard]] Index query_rows(int rank) const;
  [[nodiscard]] Index key_rows(int rank) const;
  /// The largest number of key rows of any rank: what a receive buffer must hold.
  [[nodiscard]] Index largest_key_shard() const;
  /// Bytes of the packed keys and values of one owner.
  [[nodiscard]] Index payload_bytes(int owner) const;
  /// Bytes of their gradients, which travel in the accumulator type.
  [[nodiscard]] Index gradient_bytes(int owner) const;
  /// What `rank` computes when it holds the keys of `owner`.
  [[nodiscard]] std::vector<Block> blocks(int rank, int owner) const;
  /// The ranks of the node of `rank`, itself among them.
  [[nodiscard]] const std::vector<int>& peers(int rank) const;
  /// Whether ranks read memory of others.
  [[nodiscard]] bool reads_in_place() const { return nodes.front().size() > 1; }
};

struct PlanOptions {
  std::optional<Sharding> sharding{};      ///< none: the cheapest under `machine`
  std::optional<Sharding> key_sharding{};  ///< none: as the queries
  std::optional<Schedule> schedule{};      ///< none: the one that fits the topology
  DataType data_type = DataType::float32;
  MachineModel machine{};
};

/// Plans a ring over keys and values: in step s a rank computes with what the node at ring distance
/// `offset(s)` behind its own owns, first with the shard that it holds itself and then with those
/// of its peers, which it reads in place. A shard goes from node to node, always to the rank at the
/// same place among its peers. Shards go forward as far as anyone needs them and, where only near
/// neighbours on both sides do (two-sided windows), backward as well; hops after which nobody
/// computes, and steps in which nothing is left to do, are not there at all. Without peers, this is
/// the ring from rank to rank.
/// Throws InputError for a problem that makes no sense, fewer ranks than one, and node_ring where
/// nodes have different numbers of ranks.
[[nodiscard]] Plan make_plan(const Problem& problem, const Topology& topology,
                             const PlanOptions& options = {});

/// The same shards with the schedule that fits `topology`, or with `schedule`. Throws InputError
/// where the plan is for another number of ranks, and as make_plan.
[[nodiscard]] Plan rescheduled(Plan plan, const Topology& topology,
                               std::optional<Schedule> schedule = {});

}  // namespace annulus
