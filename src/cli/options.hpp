#pragma once
// Options that several subcommands share: what is computed, and how.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/read_option.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"

namespace CLI {
class App;
}

namespace annulus::cli {

/// --mask and --logit-scale.
struct AttentionOptions {
  std::string mask = "full";
  std::string logit_scale = "none";

  void add_to(CLI::App& command);
  /// --logit-scale alone, where masks are a list.
  void add_logit_scale_to(CLI::App& command);
  /// Sets the mask and the logit scale of `problem`.
  void apply(Problem& problem) const;
};

/// Shapes, for subcommands that make their own inputs.
struct ShapeOptions {
  Index length = 1024;
  Index queries = 0;  // 0: as many as keys
  Index batch = 1;
  std::vector<Index> documents;  // lengths; empty: one of `length`
  Index heads = 4;
  Index key_heads = 0;  // 0: as many as query heads
  Index head_dim = 64;
  Index value_dim = 0;  // 0: head_dim
  AttentionOptions attention;

  void add_to(CLI::App& command);
  /// All but --length, --head-dim, --key-heads and --mask, which bench kernel sweeps.
  void add_unswept_to(CLI::App& command);
  [[nodiscard]] Problem problem() const;

 private:
  void add_shape_to(CLI::App& command);
};

/// Throws InputError in the name of `what` where tokens of `problem` cannot come one by one.
void check_decode(const Problem& problem, std::string_view what);

/// How it is computed: what is chosen is refused where it cannot be honoured.
struct ExecutionOptions {
  std::string sharding = "auto";
  std::string key_sharding;  // empty: as the queries
  std::string schedule = "auto";
  std::string precision = "fp32";
  std::string device = "auto";
  std::string backend = "auto";
  int threads = 0;  // 0: the node's cores shared among its ranks

  void add_to(CLI::App& command);
  /// --sharding, --key-sharding, --schedule and --precision alone: what plan_options needs.
  void add_plan_to(CLI::App& command);
  /// --device, --backend, --precision and --threads alone, where the rest is chosen otherwise.
  void add_compute_to(CLI::App& command);

  [[nodiscard]] DataType data_type() const;
  [[nodiscard]] PlanOptions plan_options() const;
  /// Throws InputError, with the reason, where it would compute on a GPU and there is none.
  [[nodiscard]] const kernels::Kernel& kernel(DataType type) const;
  /// The same for the ranks of `communicator`, which has to suit it.
  [[nodiscard]] const kernels::Kernel& kernel(DataType type,
                                              const comm::Communicator& communicator) const;
  /// Threads of one rank.
  [[nodiscard]] int threads_per_rank(const Topology& topology, int rank) const;
};

}  // namespace annulus::cli
