// annulus bench kernel: one rank alone, against the peak of its cores or the products of its GPU.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/comm/self.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/measure/gemm.hpp"
#include "annulus/measure/measurement.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/run/process.hpp"
#include "annulus/verify/validation.hpp"
#include "cli/command.hpp"
#include "cli/kernel_sweep.hpp"
#include "cli/measurement_table.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "kernels/rulers/gpu_rulers.hpp"

namespace annulus::cli {
namespace {

constexpr WholeRange<Index> key_heads{0, dimensions.most};

class BenchKernel final : public Command {
 public:
  void add_options(CLI::App& app) override {
    // What a preset takes the place of.
    std::vector<CLI::Option*> lists{
        add_list(app, "-n,--length", sweep_.lengths, number_in(lengths),
                 fmt::format("keys in each sequence, a list ({})", lengths.limits())),
        add_list(app, "--head-dim", sweep_.head_dims, number_in(dimensions),
                 fmt::format("dimensions of queries and keys, a list ({})", dimensions.limits())),
        add_list(
            app, "--key-heads", sweep_.key_heads, number_in(key_heads),
            fmt::format("key heads, a list ({}; 0: as many as query heads)", key_heads.limits())),
        add_list(
            app, "--mask", sweep_.masks, Mask::parse,
            "full, causal, window:LEFT or window:LEFT,RIGHT, a list; a number after a comma is "
            "the RIGHT of the window before it",
            split_masks),
        add_list(app, "--precision", sweep_.precisions, parse_data_type,
                 "fp32, fp64, bf16 or fp16, a list"),
        add_list(app, "--statistics", sweep_.statistics, parse_statistics,
                 "off or on, a list: whether the forward pass writes the statistics of its rows")};
    for (std::size_t i = 0;
         const char* text : {"1024,4096", "64,128", "0", "full", "fp32", "off"}) {
      lists[i++]->default_str(text);
    }
    auto* passes =
        add_list(app, "--pass", sweep_.passes, parse_pass, "forward or backward, a list");
    passes->default_str("forward");
    auto* backward = app.add_flag("--backward", backward_, "the same as --pass backward");
    backward->excludes(passes);
    lists.insert(lists.end(), {passes, backward});
    auto* preset = add_value(app, "--preset", preset_, kernel_preset,
                             "quick (seconds) or full (some 10 minutes), in place of the lists");
    for (auto* list : lists) preset->excludes(list);
    shape_.add_unswept_to(app);
    execution_.add_compute_to(app);
    add_number(app, "--repetitions", repetitions_, repetition_counts,
               "timed passes of each row; default: 5, or what the preset says");
    add_warm_up(app, warm_up_);
    add_number(
        app, "--row-seconds", row_seconds_, RealRange::above(0),
        "fewer repetitions of a row where they would take longer; default: no limit, or what "
        "the preset says");
    add_seed(app, seed_);
    progress_.add_to(app);
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  void check() const override {
    if (!shape_.documents.empty() && (sweep_.lengths.size() > 1 || preset_)) {
      throw InputError(
          "--documents: gives the lengths, so --length cannot be a list, nor can a preset give it");
    }
    for (const auto& group : groups()) {
      for (const auto& one : group) refuse_without(one.pass, execution_.kernel(one.type));
    }
  }

  int run(const Context& context) const override { return run_alone(context) == 0 ? 0 : 1; }

 private:
  using Groups = std::vector<std::vector<KernelCase>>;

  [[nodiscard]] Groups groups() const {
    if (preset_) {
      Groups all;
      for (const auto& sweep : preset_->sweeps) {
        std::ranges::move(sweep.groups(shape_), std::back_inserter(all));
      }
      return all;
    }
    auto sweep = sweep_;
    if (backward_) sweep.passes = {Pass::backward};
    return sweep.groups(shape_);
  }

  [[nodiscard]] measure::Repetitions repetitions() const {
    measure::Repetitions some;
    if (preset_) some = {.count = preset_->repetitions, .most_seconds = preset_->row_seconds};
    return {.count = repetitions_.value_or(some.count),
            .warm_up = warm_up_,
            .most_seconds = row_seconds_.value_or(some.most_seconds)};
  }

  /// Adds the rows of one group to the table; returns how many of them are wrong.
  Index measure_group(const std::vector<KernelCase>& group, const ExecutionOptions& execution,
                      comm::Communicator& alone, const CoreShare& cores,
                      const std::shared_ptr<device::Stream>& stream, Table& table) const {
    const int threads = cores.threads;
    std::vector<Plan> plans;
    std::vector<bool> right;
    std::vector<DataType> types;
    std::map<DataType, std::shared_ptr<const measure::TimedInputs>> inputs;
    std::vector<std::unique_ptr<measure::TimedPass>> passes;
    for (const auto& one : group) {
      const PlanOptions options{.data_type = one.type};
      const auto& kernel = execution.kernel(one.type);
      const auto& plan = plans.emplace_back(make_plan(one.problem, alone.topology(), options));
      if (kernel.device() == DeviceKind::cpu) check_memory(plan, one.pass, alone);
      right.push_back(verify::validate_briefly(one.problem, alone, options, kernel, threads,
                                               verify::checked_of(one.pass, one.statistics),
                                               seed_));
      if (!right.back()) continue;
      types.push_back(one.type);
      auto& shared = inputs[one.type];
      if (!shared) shared = measure::timed_inputs(plan, 0, seed_, stream);
      passes.push_back(std::make_unique<measure::TimedPass>(plan, one.pass, one.statistics, shared,
                                                            alone, kernel, threads));
    }
    measure::Rulers rulers(types, alone, cores, measure::WithGemm::yes, stream);
    const auto measured = measure::measure_in_turns(passes, alone, rulers, repetitions());
    auto next = measured.begin();
    for (std::size_t i = 0; i < group.size(); ++i) {
      add_measurement(table, {plans[i], threads, group[i].pass, group[i].statistics, right[i]},
                      right[i] ? *next++ : measure::Measurement{});
    }
    return std::ranges::count(right, false);
  }

  /// How many rows are wrong.
  [[nodiscard]] Index run_alone(const Context& context) const {
    auto alone = comm::self();
    const auto all = groups();
    const auto execution = execution_.on_device(context, [&](ExecutionOptions options) {
      for (const auto& group : all) {
        for (const auto& one : group) {
          options.precision = one.type;
          options.try_problem(one.problem, alone.topology());
        }
      }
    });
    const auto cores = execution.cores(context);
    Index rows = 0;
    for (const auto& group : all) rows += static_cast<Index>(group.size());
    Index invalid = 0;
    // Backends may differ between types, and they compute on one device.
    const auto& kernel = execution.kernel(all.front().front().type);
    const auto stream = kernel.open_stream(0);
    auto table = measurement_table();
    {
      Progress progress(progress_.shown());
      Index done = 0;
      progress.update(done, rows);
      for (const auto& group : all) {
        invalid += measure_group(group, execution, alone, cores, stream, table);
        done += static_cast<Index>(group.size());
        progress.update(done, rows);
      }
    }
    print(context, kernel.name(), stream->device(), table);
    if (invalid > 0) {
      run::say(
          fmt::format("INVALID: {} of {} rows differ from the fp64 reference by more than rounding "
                      "can; they were "
                      "not timed",
                      invalid, rows));
    }
    return invalid;
  }

  static void print(const Context& context, std::string_view backend, Device device,
                    const Table& table) {
    Json json{{"backend", backend}};
    if (device.kind == DeviceKind::cuda) {
      const auto gpu = visible_gpus().at(static_cast<std::size_t>(device.index));
      json["device"] = gpu.name;
      json["compute_capability"] = fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor);
      json["blas"] = kernels::gpu::gpu_blas_name();
    } else {
      json["device"] = name_of(device.kind);
      json["simd_target"] = kernels::simd_target();
      json["blas"] = measure::blas_name();
    }
    if (context.json) {
      json["rows"] = table.json();
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return;
    }
    const auto text = [&](const char* key) { return json[key].get<std::string>(); };
    const auto where =
        device.kind == DeviceKind::cuda
            ? fmt::format("{}, compute capability {}", text("device"), text("compute_capability"))
            : text("simd_target");
    fmt::print("backend {}, {}, gemm by {}\n{}", backend, where, text("blas"), table.folded_text());
  }

  KernelSweep sweep_;
  bool backward_ = false;
  std::optional<KernelPreset> preset_;
  ShapeOptions shape_;
  ExecutionOptions execution_;
  std::optional<int> repetitions_;
  int warm_up_ = 1;
  std::optional<double> row_seconds_;
  std::uint64_t seed_ = 1;
  ProgressOption progress_;
};

}  // namespace

std::unique_ptr<Command> make_bench_kernel() {
  return std::make_unique<BenchKernel>();
}

}  // namespace annulus::cli
