#pragma once
// What bench strong and bench weak time: every combination of some lists, on each number of ranks.

#include <optional>
#include <string>
#include <vector>

#include "annulus/sweep/point.hpp"
#include "cli/options.hpp"

namespace annulus::cli {

/// Lists of the command line, with its defaults.
struct ScalingOptions {
  explicit ScalingOptions(bool is_weak);

  bool weak;
  sweep::Growth growth;
  std::vector<int> ranks;  ///< rising; empty: see rank_counts
  std::vector<Index> lengths{4096};
  std::vector<Mask> masks{Mask::full()};
  std::vector<DataType> precisions{DataType::float32};
  std::vector<Pass> passes{Pass::forward};
  bool backward = false;
  std::vector<std::optional<Schedule>> schedules{std::nullopt};
  std::vector<std::optional<Sharding>> shardings{std::nullopt};
  ShapeOptions shape;  ///< what is no list, likewise below
  ExecutionOptions execution;
  int repetitions = 5;
  int warm_up = 1;
  std::uint64_t seed = 1;

  void add_to(CLI::App& app);
  /// Throws InputError where options do not go together.
  void check() const;

  /// The numbers of ranks: those that were asked for, else powers of two up to `all` and that.
  [[nodiscard]] std::vector<int> rank_counts(int all) const;
  /// Every combination, series after series, each by rising numbers of ranks.
  [[nodiscard]] std::vector<sweep::Point> points(const std::vector<int>& rank_counts) const;

  /// All that makes times what they are, as TOML: what two runs that fill one file agree on.
  [[nodiscard]] std::string config(const std::vector<int>& rank_counts, int threads) const;
  /// Of such a config, what follows from the job where the command line does not say it: the
  /// numbers of ranks, and the threads of each.
  void take_from(const std::string& config);
};

}  // namespace annulus::cli
