#pragma once
// Options that several subcommands share: what is computed, and how.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/pass_trace.hpp"
#include "annulus/ring/thread_share.hpp"
#include "base/range.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace annulus::cli {

struct Context;

/// What a Problem holds at most, see validate(): rows, and numbers in one row of all heads.
inline constexpr WholeRange<Index> lengths{0, Index{1} << 31};
inline constexpr WholeRange<Index> dimensions{1, Index{1} << 24};
/// How often something may be timed.
inline constexpr WholeRange<int> repetition_counts{1, 1000000};

/// --mask and --logit-scale.
struct AttentionOptions {
  Mask mask = Mask::full();
  LogitScale logit_scale;

  void add_to(CLI::App& command);
  /// --logit-scale alone, where masks are a list.
  void add_logit_scale_to(CLI::App& command);
  /// Sets the mask and the logit scale of `problem`.
  void apply(Problem& problem) const;
};

/// Shapes, for subcommands that make their own inputs.
struct ShapeOptions {
  Index length = 1024;
  std::optional<Index> queries;  // none: as many as keys
  Index batch = 1;
  std::vector<Index> documents;  // lengths; empty: one of `length`
  Index heads = 4;
  std::optional<Index> key_heads;  // none: as many as query heads
  Index head_dim = 64;
  std::optional<Index> value_dim;  // none: head_dim
  AttentionOptions attention;

  void add_to(CLI::App& command);
  /// All but --length, --head-dim, --key-heads and --mask, which benchmarks sweep.
  void add_unswept_to(CLI::App& command);
  /// --head-dim and --key-heads alone.
  void add_dimensions_to(CLI::App& command);
  /// Throws InputError where options do not go together.
  [[nodiscard]] Problem problem() const;

 private:
  void add_shape_to(CLI::App& command);
};

/// Throws InputError in the name of `what` where tokens of `problem` cannot come one by one.
void check_decode(const Problem& problem, std::string_view what);

/// How it is computed: what is chosen is refused where it cannot be honoured.
struct ExecutionOptions {
  std::optional<Sharding> sharding;      // none: the cheapest
  std::optional<Sharding> key_sharding;  // none: as the queries
  std::optional<Schedule> schedule;      // none: what fits
  DataType precision = DataType::float32;
  std::optional<DeviceKind> device;  // none: as the backend; where that is free too, see on_device
  std::string backend = "auto";
  std::string machine;         // a name or a file; empty: the default of the device
  std::optional<int> threads;  // none: the node's cores shared among its ranks

  void add_to(CLI::App& command);
  /// --sharding, --key-sharding, --schedule, --precision and --machine alone: what plan_options
  /// needs.
  void add_plan_to(CLI::App& command);
  /// --device, --backend and --threads alone, where the rest is chosen otherwise.
  void add_compute_to(CLI::App& command);

  /// --key-sharding alone, where shardings of queries are a list.
  void add_key_sharding_to(CLI::App& command);
  /// --precision alone.
  void add_precision_to(CLI::App& command);
  /// --machine alone.
  void add_machine_to(CLI::App& command);

  /// Without a machine and what it computes with.
  [[nodiscard]] PlanOptions plan_options() const;
  /// The same for `pass` on --machine, of which a rank computes with so many cores; where there is
  /// none, as it is, so that what is planned without running it is what runs. Throws InputError
  /// where there is no such machine.
  [[nodiscard]] PlanOptions plan_options(Pass pass, int threads_of_rank) const;
  /// Collective. The same on all ranks, for the fewest cores that any of them has.
  [[nodiscard]] PlanOptions plan_options(Pass pass, const CoreShare& cores,
                                         comm::Communicator& communicator) const;
  /// What is wrong with these options for what is to be computed; throws InputError. The same on
  /// all ranks.
  using Trial = std::function<void(const ExecutionOptions& options)>;

  /// Collective. The same options on a device that is not `auto` any more: GPUs, where every rank
  /// has one and `trial` finds nothing wrong with them there; else the CPU. Rank 0 says which, and
  /// why, where some rank sees a GPU. Throws what `trial` throws on the CPU, too.
  [[nodiscard]] ExecutionOptions on_device(const Context& context, const Trial& trial) const;
  /// Throws InputError where `problem` cannot be computed so on ranks of `topology`.
  void try_problem(const Problem& problem, const Topology& topology) const;

  /// Without a device, that of the backend, and the CPU where that is free too. Throws InputError,
  /// with the reason, where it would compute on a GPU and there is none.
  [[nodiscard]] const kernels::Kernel& kernel(DataType type) const;
  /// The same for the ranks of `communicator`, which has to suit it.
  [[nodiscard]] const kernels::Kernel& kernel(DataType type,
                                              const comm::Communicator& communicator) const;
  /// Collective. What this rank has of its node's cores, with as many threads as it is to compute
  /// with. Says where a launcher or OpenMP stands in the way of the others. Throws InputError where
  /// OpenMP does not give so many threads.
  [[nodiscard]] CoreShare cores(const Context& context) const;
};

/// Throws InputError where a backend lacks a pass.
void refuse_without(Pass pass, const kernels::Kernel& kernel);

/// --trace.
struct TraceOption {
  std::string path;  // empty: not wanted

  void add_to(CLI::App& command);
  /// Where passes trace what they do; null where that is not wanted.
  [[nodiscard]] std::vector<PassTrace>* wanted(std::vector<PassTrace>& traces) const {
    return path.empty() ? nullptr : &traces;
  }
  /// Throws InputError where the file cannot be made.
  void check() const;
  /// Collective. Writes the file, if it is wanted.
  void write(const std::vector<PassTrace>& traces, comm::Communicator& communicator) const;
};

/// --warmup.
CLI::Option* add_warm_up(CLI::App& command, int& runs);

/// --seed.
CLI::Option* add_seed(CLI::App& command, std::uint64_t& seed);

}  // namespace annulus::cli
