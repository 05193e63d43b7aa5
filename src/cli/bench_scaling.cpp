// annulus bench strong and bench weak: the same problems, or problems that grow, on more and more
// of the ranks; with a file, each point is on disk before the next begins.
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/run/process.hpp"
#include "annulus/run/provenance.hpp"
#include "annulus/sweep/sweep.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/progress.hpp"
#include "cli/scaling_options.hpp"
#include "cli/scaling_table.hpp"
#include "comm/broadcast.hpp"

namespace annulus::cli {
namespace {

Json environment(const results::Provenance& provenance) {
  return {{"annulus_version", version()},
          {"git_commit", git_commit()},
          {"command_line", provenance.command_line},
          {"job", provenance.job},
          {"mpi_library", provenance.mpi_library},
          {"hosts", provenance.hosts},
          {"cpus", provenance.cpus},
          {"cores", provenance.cores}};
}

class BenchScaling final : public Command {
 public:
  explicit BenchScaling(bool weak) : options_(weak) {}

  void add_options(CLI::App& app) override {
    options_.add_to(app);
    add_value(app, "-o,--output", output_, read_path,
              "HDF5 file that has every point before the next begins");
    app.add_flag("--resume", resume_, "complete --output where it exists");
    app.add_flag("--overwrite", overwrite_, "begin again where --output exists");
    app.add_flag("--csv", csv_, "comma-separated values in place of the table");
    trace_.add_to(app);
    progress_.add_to(app);
  }

  void check() const override {
    if (resume_ && overwrite_) {
      throw InputError("--resume and --overwrite contradict each other; expected one of them");
    }
    if (!output_ && (resume_ || overwrite_)) {
      throw InputError(fmt::format("--{}: there is no --output; expected both",
                                   resume_ ? "resume" : "overwrite"));
    }
    options_.check();
    trace_.check();
  }

  int run(const Context& context) const override {
    auto& world = context.communicator;
    if (context.json && csv_) {
      throw InputError("--csv and --json contradict each other; expected one of them");
    }
    auto options = options_;
    if (resume_) options.take_from(stored_config(world));
    const auto counts = options.rank_counts(world.size());
    check_ranks(counts, world.size());
    options.execution =
        options.execution.on_device(context, [&](const ExecutionOptions& execution) {
          auto tried = options;
          tried.execution = execution;
          sweep::check_kernels(
              tried.points(counts), world.topology(),
              [&](DataType type) -> const kernels::Kernel& { return execution.kernel(type); });
        });
    auto points = options.points(counts);
    const sweep::KernelOf kernel_of = [&](DataType type) -> const kernels::Kernel& {
      return options.execution.kernel(type, world);
    };
    const auto& kernel = kernel_of(options.precisions.front());
    const auto cores = options.execution.cores(context);
    const auto planned = options.execution.plan_options(Pass::forward, cores, world);
    for (auto& point : points) {
      if (planned.machine == nullptr) break;
      point.options.machine = planned.machine;
      point.options.threads = planned.threads;
      point.options.pass = point.pass;
    }
    sweep::check_schedules(points, world.topology());
    const auto provenance =
        run::provenance_of({context.command_line, options.config(counts, cores.threads)}, world,
                           context.files, kernel, cores.threads);
    const auto layout = sweep::layout_of(options.growth, points, options.repetitions);
    std::optional<results::StudyFile> file;
    if (output_) {
      comm::on_root(world, [&] { file.emplace(*output_, layout, provenance, existing()); });
    }
    std::vector<sweep::Record> records;
    std::vector<PassTrace> traces;
    {
      Progress progress(context.speaks() && progress_.shown());
      const sweep::Destination destination{file ? &*file : nullptr, layout};
      records = sweep::run_sweep(points, {world, kernel_of, cores},
                                 {{.count = options.repetitions, .warm_up = options.warm_up},
                                  options.seed,
                                  trace_.wanted(traces),
                                  !options.execution.machine.empty()},
                                 output_ ? &destination : nullptr,
                                 [&](Index done, Index total) { progress.update(done, total); });
    }
    trace_.write(traces, world);
    if (context.speaks()) print(context, kernel.name(), provenance, points, records);
    Index wrong = std::ranges::count(records, "INVALID", &sweep::Record::verdict);
    world.all_reduce(std::span(&wrong, 1), comm::Reduction::maximum);
    return wrong == 0 ? 0 : 1;
  }

 private:
  /// Collective. The config of the file that is to be completed; empty where there is none.
  [[nodiscard]] std::string stored_config(comm::Communicator& world) const {
    std::string config;
    comm::on_root(world, [&] { config = results::stored_config(*output_).value_or(""); });
    comm::broadcast(world, config);
    return config;
  }

  void check_ranks(const std::vector<int>& counts, int all) const {
    const int least = std::ranges::min(counts);
    const int most = std::ranges::max(counts);
    if (most > all && !output_) {
      throw InputError(
          fmt::format("--ranks: {}; expected 1 to {}, the ranks there are", most, all));
    }
    if (least > all) {
      throw InputError(fmt::format("--ranks: {} and more; expected some that {} rank{} can measure",
                                   least, all, all == 1 ? "" : "s"));
    }
  }

  [[nodiscard]] results::Existing existing() const {
    if (resume_) return results::Existing::resume;
    return overwrite_ ? results::Existing::overwrite : results::Existing::refuse;
  }

  void print(const Context& context, std::string_view backend,
             const results::Provenance& provenance, const std::vector<sweep::Point>& points,
             const std::vector<sweep::Record>& records) const {
    const auto table = scaling_table(points, records);
    if (context.json) {
      const Json document{{"backend", backend},
                          {"transport", provenance.transport},
                          {"environment", environment(provenance)},
                          {"rows", table.json()}};
      fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
    } else if (csv_) {
      fmt::print("{}", table.csv());
    } else {
      fmt::print("backend {}, transport {}\n{}", backend, provenance.transport,
                 scaling_text(table, points, !options_.execution.machine.empty()));
      if (output_) fmt::print("wrote {}\n", *output_);
    }
    say_what_is_missing(points, records);
  }

  void say_what_is_missing(const std::vector<sweep::Point>& points,
                           const std::vector<sweep::Record>& records) const {
    std::vector<int> left;
    std::set<std::string> reasons;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto& record = records[i];
      if (!record.reason.empty()) reasons.insert(record.reason);
      if (!record.finished()) left.push_back(points[i].ranks);
    }
    for (const auto& reason : reasons) run::say("UNFIT: " + reason);
    if (left.empty()) return;
    const auto missing = left.size();
    std::ranges::sort(left);
    left.erase(std::ranges::unique(left).begin(), left.end());
    run::say(
        fmt::format("{} of {} points are left, on {} ranks; a job that has as many completes "
                    "{} with --resume",
                    missing, points.size(), fmt::join(left, ", "), *output_));
  }

  ScalingOptions options_;
  std::optional<std::string> output_;
  bool resume_ = false;
  bool overwrite_ = false;
  bool csv_ = false;
  TraceOption trace_;
  ProgressOption progress_;
};

}  // namespace

std::unique_ptr<Command> make_bench_strong() {
  return std::make_unique<BenchScaling>(false);
}

std::unique_ptr<Command> make_bench_weak() {
  return std::make_unique<BenchScaling>(true);
}

}  // namespace annulus::cli
