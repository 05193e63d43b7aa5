#pragma once
// Who holds what, what moves when, and what is computed where: a pure value that can be printed,
// checked and executed.

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/plan/block.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/program.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/plan/schedule.hpp"
#include "annulus/plan/sharding.hpp"
#include "annulus/plan/topology.hpp"

namespace annulus {

struct Machine;

/// The plan of one attention call: what all ranks agree on without talking. It is small and never
/// changes, and copies share it. What it says of a rank it derives when it is asked, in time and
/// memory that grow with what that rank holds or does, whatever the number of ranks. Ranks and
/// owners are from 0 to ranks() - 1.
class Plan {
 public:
  struct Tables;  ///< of this library; make_plan makes plans
  explicit Plan(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

  [[nodiscard]] const Problem& problem() const;
  [[nodiscard]] int ranks() const;
  [[nodiscard]] Sharding sharding() const;      ///< of queries
  [[nodiscard]] Sharding key_sharding() const;  ///< of keys and values
  [[nodiscard]] Schedule schedule() const;      ///< with all its sizes
  [[nodiscard]] DataType data_type() const;     ///< in which keys and values travel

  /// What a rank holds.
  [[nodiscard]] Shard query_shard(int rank) const;
  [[nodiscard]] Shard key_shard(int rank) const;
  [[nodiscard]] Index query_rows(int rank) const;
  [[nodiscard]] Index key_rows(int rank) const;

  /// Bytes of an item, packed: what a caller gave in data_type(), what was computed in its
  /// accumulator type.
  [[nodiscard]] Index bytes(const Item& item) const;
  /// All keys and values of a rank, and all of its queries.
  [[nodiscard]] Item keys_of(int rank) const;
  [[nodiscard]] Item queries_of(int rank) const;

  /// What a rank does in a pass.
  [[nodiscard]] Program program(int rank, Pass pass = Pass::forward) const;
  /// The same for a backward pass, where the program of its forward pass is there already.
  [[nodiscard]] Program backward_program(int rank, const Program& forward) const;
  /// Some steps of its forward pass.
  [[nodiscard]] std::vector<Step> steps(int rank, Interval which) const;
  /// Steps of a forward pass, on every rank.
  [[nodiscard]] std::size_t step_count() const;
  /// What queries compute with keys: rows are counted from 0, those of the items of a list one
  /// after the other as they are packed. Empty where none sees any.
  [[nodiscard]] std::vector<Block> blocks(const Compute& compute) const;

  /// The ranks that read each other's memory with `rank`, itself among them, in their order: with
  /// node_ring those of its node, as many on every node; else the rank alone.
  [[nodiscard]] std::vector<int> peers(int rank) const;
  /// Groups of peers.
  [[nodiscard]] int node_count() const;
  /// Whether any rank has peers.
  [[nodiscard]] bool reads_in_place() const { return node_count() < ranks(); }
  /// Where ranks read in place: the most rows of keys that any of them holds of its own, and that
  /// any receives at once, for which memory that is laid out alike on all of them has room.
  [[nodiscard]] Index largest_key_rows() const;
  [[nodiscard]] Index largest_received_rows() const;

  /// The same shards with the nodes of `topology`, by `schedule`. Throws InputError where the plan
  /// is for another number of ranks, and for nodes as make_plan does.
  [[nodiscard]] Plan with_schedule(Schedule schedule, const Topology& topology) const;

 private:
  std::shared_ptr<const Tables> tables_;
};

struct PlanOptions {
  std::optional<Sharding> sharding{};      ///< none: the quickest on `machine`
  std::optional<Sharding> key_sharding{};  ///< none: as the queries
  std::optional<Schedule> schedule{};      ///< none: likewise
  PeerMemory peer_memory = PeerMemory::shared;
  bool merges_states = true;  ///< whether a schedule in which queries travel may be chosen
  DataType data_type = DataType::float32;
  /// What is chosen is the quickest for this pass, on ranks of so many cores of this machine; null:
  /// the default_machine.
  Pass pass = Pass::forward;
  int threads = 1;
  std::shared_ptr<const Machine> machine{};
};

/// Plans an attention call. What nobody needs does not travel, and what only near neighbours need
/// goes no further; steps in which no rank has anything to do are not there at all.
/// Throws InputError for a problem that makes no sense, fewer ranks than one, and a schedule that
/// does not fit the ranks, their nodes or the heads, with what would fit.
[[nodiscard]] Plan make_plan(const Problem& problem, const Topology& topology,
                             const PlanOptions& options = {});

}  // namespace annulus
