// annulus attend: attention of the q, k, v in an HDF5 file.
#include <array>
#include <cmath>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/run/attention_run.hpp"
#include "annulus/run/input_trial.hpp"
#include "annulus/run/process.hpp"
#include "annulus/run/provenance.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

template <class T>
void add_values(ConstTensorView view, double& sum, double& least, double& most) {
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h) {
      const auto value = static_cast<double>(*view.row<T>(i, h));
      sum += value;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
}

/// Mean, least and largest over all queries and heads of all ranks. Collective.
std::array<double, 3> summary_of(ConstTensorView view, double count,
                                 comm::Communicator& communicator) {
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  with_accumulator(view.type, [&]<class T>() { add_values<T>(view, sum, least, most); });
  communicator.all_reduce(std::span(&sum, 1), comm::Reduction::sum);
  communicator.all_reduce(std::span(&least, 1), comm::Reduction::minimum);
  communicator.all_reduce(std::span(&most, 1), comm::Reduction::maximum);
  return {sum / count, least, most};
}

class Attend final : public Command {
 public:
  void add_options(CLI::App& app) override {
    add_value(app, "input", input_, read_path, "HDF5 file with /q, /k and /v")->required();
    add_value(app, "-o,--output", output_, read_path, "HDF5 file to write")->required();
    attention_.add_to(app);
    add_value(app, "--layout", layout_, results::parse_array_layout,
              "order of the input's and the output's axes: nhd, bnhd or bhnd (batch, heads, n, "
              "d); by default what the attribute layout of /q says, else nhd, or bnhd where "
              "there are four");
    execution_.add_to(app);
    app.add_flag("--statistics", statistics_, "also write what is measured of each row");
    app.add_flag("--backward", backward_, "also write the gradients for /dout");
    app.add_flag("--overwrite", overwrite_, "replace --output where it exists");
    trace_.add_to(app);
  }

  void check() const override {
    refuse_without(pass(), execution_.kernel(execution_.precision));
    run::check_not_the_input(input_, output_);
    trace_.check();
    run::try_input(input_, {.layout = layout_});
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    const results::AttentionInput input(input_, context.files, {.layout = layout_});
    if (context.speaks()) warn_of_heads(input.shape());
    const auto problem = problem_for(input.shape());
    const auto execution = execution_.on_device(context, [&](const ExecutionOptions& options) {
      options.try_problem(problem, communicator.topology());
    });
    const auto& kernel = execution.kernel(execution.precision, communicator);
    const auto cores = execution.cores(context);
    const int threads = cores.threads;
    const auto plan = make_plan(problem, communicator.topology(),
                                execution.plan_options(pass(), cores, communicator));
    if (kernel.device() == DeviceKind::cpu) {
      check_memory(plan, Pass::forward, communicator);
      if (backward_) check_memory(plan, Pass::backward, communicator);
    }
    const WantedOutputs wanted{.statistics = statistics_ ? Statistics::on : Statistics::off,
                               .backward = backward_,
                               .parameters = backward_};
    // Before computing, so that an output that cannot be written costs no time.
    results::AttentionOutput output(
        output_, context.files,
        {.documents = plan.problem().documents,
         .layout = input.shape().layout,
         .arrays = run::output_arrays(plan, wanted, !input.shape().sink.empty()),
         .provenance = run::provenance_of(
             {context.command_line, config(context, plan, kernel, input.shape().layout)},
             communicator, context.files, kernel, threads),
         .existing = overwrite_ ? results::Existing::overwrite : results::Existing::refuse});
    std::vector<PassTrace> traces;
    const auto run = run::run_attention(input_, input, plan, communicator, kernel, threads, wanted,
                                        trace_.wanted(traces));
    run::write_run(output, run, plan, communicator.rank());
    output.commit();
    trace_.write(traces, communicator);
    print(context, plan, kernel.name(), threads, run);
    return 0;
  }

 private:
  [[nodiscard]] Pass pass() const { return backward_ ? Pass::backward : Pass::forward; }

  /// Says so where heads and rows may have changed places.
  void warn_of_heads(const results::InputShape& shape) const {
    const auto& documents = shape.documents;
    const Index batch = has_batch_axis(shape.layout) ? documents.count() : 1;
    if (!shape.layout_is_guessed || shape.query_heads <= documents.queries() / batch ||
        shape.key_heads <= documents.keys() / batch) {
      return;
    }
    run::say(fmt::format(
        "warning: {}: /q is read as {} with {} heads, more than its {} rows; --layout says how its "
        "axes lie",
        input_, axes_of(shape.layout), shape.query_heads, documents.queries() / batch));
  }

  [[nodiscard]] Problem problem_for(const results::InputShape& shape) const {
    auto problem = run::problem_of(input_, shape);
    attention_.apply(problem);
    if (problem.logit_scale.is_table() && !shape.has_logit_scale) {
      throw InputError(fmt::format(
          "{}: /logit_scale is missing; --logit-scale table expected it, (n_q) or (n_q, H)",
          input_));
    }
    if (!problem.logit_scale.is_table() && shape.has_logit_scale) {
      throw InputError(fmt::format(
          "{}: /logit_scale is there for --logit-scale table; expected that, or a file without it",
          input_));
    }
    if (backward_ && !shape.has_dout) {
      throw InputError(
          fmt::format("{}: /dout is missing; --backward expected it, (n_q, H, d_v)", input_));
    }
    return problem;
  }

  /// The effective configuration, as TOML.
  [[nodiscard]] std::string config(const Context& context, const Plan& plan,
                                   const kernels::Kernel& kernel,
                                   results::ArrayLayout layout) const {
    const toml::table table{{"input", input_},
                            {"layout", name_of(layout)},
                            {"mask", plan.problem().mask.name()},
                            {"logit_scale", plan.problem().logit_scale.name()},
                            {"sharding", name_of(plan.sharding())},
                            {"key_sharding", name_of(plan.key_sharding())},
                            {"schedule", name_of(plan.schedule())},
                            {"precision", name_of(plan.data_type())},
                            {"device", name_of(kernel.device())},
                            {"backend", kernel.name()},
                            {"transport", context.communicator.name()},
                            {"statistics", statistics_},
                            {"backward", backward_}};
    std::ostringstream text;
    text << table << '\n';
    return text.str();
  }

  /// Collective, although rank 0 alone prints.
  void print(const Context& context, const Plan& plan, std::string_view backend, int threads,
             const run::AttentionRun& run) const {
    const auto& problem = plan.problem();
    Table table({"statistic", "mean", "min", "max"});
    const auto count = static_cast<double>(problem.documents.queries() * problem.query_heads);
    if (statistics_ && count > 0) {
      for (std::size_t s = 0; s < row_statistics().size(); ++s) {
        const auto summary =
            summary_of(run.tensors.statistics().at(s), count, context.communicator);
        table.add({cell(std::string(row_statistics()[s].name)), cell(summary[0]), cell(summary[1]),
                   cell(summary[2])});
      }
    }
    if (!context.speaks()) return;
    const double flops = forward_flops(plan.problem(), visible_area(plan.problem()));
    if (context.json) {
      Json json{{"output", output_},
                {"queries", problem.documents.queries()},
                {"keys", problem.documents.keys()},
                {"documents", problem.documents.count()},
                {"heads", problem.query_heads},
                {"key_heads", problem.key_heads},
                {"head_dim", problem.head_dim},
                {"value_dim", problem.output_dim()},
                {"mask", problem.mask.name()},
                {"logit_scale", problem.logit_scale.name()},
                {"ranks", plan.ranks()},
                {"threads", threads},
                {"schedule", name_of(plan.schedule())},
                {"sharding", name_of(plan.sharding())},
                {"key_sharding", name_of(plan.key_sharding())},
                {"steps", plan.step_count()},
                {"precision", name_of(plan.data_type())},
                {"backend", backend},
                {"seconds", run.forward.seconds},
                {"exposed_seconds", run.forward.exposed_seconds},
                {"flops", flops},
                {"bytes_sent", run.forward.bytes_sent}};
      if (backward_) {
        json["backward"] = {{"seconds", run.backward.seconds},
                            {"exposed_seconds", run.backward.exposed_seconds},
                            {"flops", backward_to_forward_flops * flops},
                            {"bytes_sent", run.backward.bytes_sent}};
      }
      if (statistics_) json["statistics"] = table.json();
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return;
    }
    fmt::print("attention  {} queries, {} keys, {} document{}, {} heads on {}, d = {}, d_v = {}\n",
               problem.documents.queries(), problem.documents.keys(), problem.documents.count(),
               problem.documents.count() == 1 ? "" : "s", problem.query_heads, problem.key_heads,
               problem.head_dim, problem.output_dim());
    fmt::print("           mask {}, logit scale {}\n", problem.mask.name(),
               problem.logit_scale.name());
    fmt::print("plan       ranks {}, threads each {}, {} sharding, {}, {} steps, {}, backend {}\n",
               plan.ranks(), threads, name_of(plan.sharding()), name_of(plan.schedule()),
               plan.step_count(), name_of(plan.data_type()), backend);
    const auto print_pass = [](const char* name, const PassReport& pass, double pass_flops) {
      fmt::print("{:<10} {}, {:.4g} GFLOP/s; {} of it waiting for transfers, {} sent\n", name,
                 seconds_text(pass.seconds), pass_flops / pass.seconds * 1e-9,
                 seconds_text(pass.exposed_seconds),
                 bytes_text(static_cast<double>(pass.bytes_sent)));
    };
    print_pass(backward_ ? "forward" : "time", run.forward, flops);
    if (backward_) print_pass("backward", run.backward, backward_to_forward_flops * flops);
    if (statistics_) fmt::print("\n{}\n", table.text());
    fmt::print("wrote      {}\n", output_);
  }

  std::string input_;
  std::string output_;
  AttentionOptions attention_;
  ExecutionOptions execution_;
  std::optional<results::ArrayLayout> layout_;  // none: as the file says
  bool statistics_ = false;
  bool backward_ = false;
  bool overwrite_ = false;
  TraceOption trace_;
};

}  // namespace

std::unique_ptr<Command> make_attend() {
  return std::make_unique<Attend>();
}

}  // namespace annulus::cli
