// annulus verify: a shape on all ranks against the fp64 reference on one.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/ring/memory_check.hpp"
#include "annulus/verify/validation.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

class Verify final : public Command {
 public:
  void add_options(CLI::App& app) override {
    shape_.add_to(app);
    execution_.add_to(app);
    app.add_flag("--backward", backward_, "also compare the gradients");
    app.add_flag("--decode", decode_,
                 "compute over a cache instead: chunks of tokens, then tokens one by one");
    app.add_flag("--statistics", statistics_,
                 "refuse a backend without statistics; where there are some they are compared");
    add_seed(app, seed_);
    trace_.add_to(app);
  }

  void check() const override {
    const auto problem = shape_.problem();
    if (decode_ && backward_) {
      throw InputError("--decode: there are no gradients over a cache; expected no --backward");
    }
    if (decode_ && (execution_.sharding || execution_.key_sharding)) {
      throw InputError(
          "--decode: tokens go to the ranks in turns; expected neither --sharding nor "
          "--key-sharding");
    }
    if (decode_ && execution_.schedule) {
      throw InputError("--decode: queries travel, in no schedule; expected no --schedule");
    }
    if (decode_) check_decode(problem, "--decode");
    if (decode_ && !trace_.path.empty()) {
      throw InputError("--decode: there are no programs to trace; expected no --trace");
    }
    trace_.check();
    const auto& kernel = execution_.kernel(execution_.precision);
    if (statistics_ && !kernel.keeps_statistics()) {
      throw InputError(fmt::format(
          "--statistics: backend {} keeps none; expected another --backend", kernel.name()));
    }
    refuse_without(pass(), kernel);
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    const auto problem = shape_.problem();
    const auto execution = execution_.on_device(context, [&](const ExecutionOptions& options) {
      options.try_problem(problem, communicator.topology());
    });
    const auto& kernel = execution.kernel(execution.precision, communicator);
    const auto cores = execution.cores(context);
    const int threads = cores.threads;
    const auto plan = make_plan(problem, communicator.topology(),
                                execution.plan_options(pass(), cores, communicator));
    if (kernel.device() == DeviceKind::cpu) check_memory(plan, pass(), communicator);
    const auto what = checked(kernel);
    std::vector<PassTrace> traces;
    const auto validation = verify::validate_plan(plan, communicator, kernel, threads, what, seed_,
                                                  trace_.wanted(traces));
    trace_.write(traces, communicator);
    if (context.speaks()) print(context, plan, kernel.name(), what, validation);
    return validation.valid() ? 0 : 1;
  }

 private:
  [[nodiscard]] Pass pass() const { return backward_ ? Pass::backward : Pass::forward; }

  [[nodiscard]] verify::Checked checked(const kernels::Kernel& kernel) const {
    if (decode_) return verify::Checked::decode;
    return verify::checked_of(pass(), kernel.keeps_statistics() ? Statistics::on : Statistics::off);
  }

  static void print(const Context& context, const Plan& plan, std::string_view backend,
                    verify::Checked what, const verify::Validation& validation) {
    const bool decode = what == verify::Checked::decode;
    const std::string_view spread = decode ? "cyclic" : name_of(plan.sharding());
    const auto schedule = decode ? std::string("decode") : name_of(plan.schedule());
    Table table({"output", "error", "bound", "largest", "of_bound", "verdict"});
    for (const auto& deviation : validation.deviations) {
      table.add({cell(deviation.name), cell(deviation.error), cell(deviation.bound),
                 cell(deviation.largest), cell(deviation.of_bound, 3),
                 cell(std::string(deviation.valid() ? "VALID" : "INVALID"))});
    }
    if (context.json) {
      const Json json{{"ranks", plan.ranks()},
                      {"pass", name_of(what)},
                      {"schedule", schedule},
                      {"sharding", spread},
                      {"precision", name_of(plan.data_type())},
                      {"backend", backend},
                      {"bytes_sent", validation.bytes_sent},
                      {"valid", validation.valid()},
                      {"outputs", table.json()}};
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return;
    }
    fmt::print("{}{} rank{}, {}{} sharding, {}, backend {}, {} sent\n{}",
               decode ? "decode over " : "", plan.ranks(), plan.ranks() == 1 ? "" : "s",
               decode ? "" : schedule + ", ", spread, name_of(plan.data_type()), backend,
               bytes_text(static_cast<double>(validation.bytes_sent)), table.text());
  }

  ShapeOptions shape_;
  ExecutionOptions execution_;
  bool backward_ = false;
  bool decode_ = false;
  bool statistics_ = false;
  std::uint64_t seed_ = 1;
  TraceOption trace_;
};

}  // namespace

std::unique_ptr<Command> make_verify() {
  return std::make_unique<Verify>();
}

}  // namespace annulus::cli
