// annulus bench strong: one problem on more and more of the ranks.
#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/measure/measurement.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/verify/validation.hpp"
#include "cli/command.hpp"
#include "cli/measurement_table.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"

namespace annulus::cli {
namespace {

class BenchStrong final : public Command {
 public:
  void add_options(CLI::App& app) override {
    shape_.length = 4096;
    shape_.add_to(app);
    execution_.add_to(app);
    add_list(app, "--ranks", ranks_, number_in(WholeRange<int>{.least = 1}),
             "numbers of ranks, a list (1 to the ranks there are; default: powers of two and all)")
        ->type_name("NUMBER");
    app.add_flag("--backward", backward_, "time the backward pass in place of the forward pass");
    add_number(app, "--repetitions", repetitions_, repetition_counts, "timed passes")
        ->default_str(fmt::format("{}", repetitions_));
    add_seed(app, seed_);
    trace_.add_to(app);
  }

  void check() const override {
    (void)shape_.problem();
    refuse_without(pass(), execution_.kernel(execution_.precision));
    trace_.check();
  }

  int run(const Context& context) const override {
    auto& world = context.communicator;
    const auto problem = shape_.problem();
    const auto options = execution_.plan_options();
    const auto& kernel = execution_.kernel(options.data_type, world);
    // As many threads as each rank has when all ranks run, so that P alone changes.
    const auto cores = execution_.cores(context);
    const int threads = cores.threads;
    bool valid = true;
    std::vector<PassTrace> traces;
    auto table = measurement_table(measure::WithGemm::no);
    for (const int ranks : rank_counts(world.size())) {
      const auto part = world.first(ranks);
      if (part) {
        if (kernel.device() == DeviceKind::cpu) {
          check_memory(make_plan(problem, part->topology(), options), pass(), *part);
        }
        const bool right =
            verify::validate_briefly(problem, *part, options, kernel, threads,
                                     verify::checked_of(pass(), Statistics::off), seed_);
        const auto plan = make_plan(problem, part->topology(), options);
        add_measurement(table, measure::WithGemm::no,
                        {plan, threads, pass(), Statistics::off, right},
                        right ? measure(plan, *part, kernel, cores, trace_.wanted(traces))
                              : measure::Measurement{});
        valid = valid && right;
      }
      world.barrier();
    }
    trace_.write(traces, world);
    if (context.speaks()) {
      if (context.json) {
        fmt::print(
            "{}\n",
            Json{{"backend", kernel.name()}, {"transport", world.name()}, {"rows", table.json()}}
                .dump(2, ' ', false, Json::error_handler_t::replace));
      } else {
        fmt::print("backend {}, transport {}\n{}", kernel.name(), world.name(),
                   table.folded_text());
      }
    }
    Index verdict = valid ? 1 : 0;
    world.all_reduce(std::span(&verdict, 1), comm::Reduction::minimum);
    return verdict == 1 ? 0 : 1;
  }

 private:
  [[nodiscard]] Pass pass() const { return backward_ ? Pass::backward : Pass::forward; }

  [[nodiscard]] measure::Measurement measure(const Plan& plan, comm::Communicator& part,
                                             const kernels::Kernel& kernel, const CoreShare& cores,
                                             std::vector<PassTrace>* traces) const {
    const auto stream = kernel.open_stream(place_on_node(part.topology(), part.rank()));
    const auto inputs = measure::timed_inputs(plan, part.rank(), seed_, stream);
    std::array<std::unique_ptr<measure::TimedPass>, 1> timed{std::make_unique<measure::TimedPass>(
        plan, pass(), Statistics::off, inputs, part, kernel, cores.threads)};
    timed.front()->trace(traces);
    measure::Rulers rulers({plan.data_type()}, part, cores, measure::WithGemm::no, stream);
    return measure::measure_in_turns(timed, part, rulers, {.count = repetitions_}).front();
  }

  [[nodiscard]] std::vector<int> rank_counts(int all) const {
    for (const int ranks : ranks_) {
      if (ranks > all) {
        throw InputError(
            fmt::format("--ranks: {}; expected 1 to {}, the ranks there are", ranks, all));
      }
    }
    if (!ranks_.empty()) return ranks_;
    std::vector<int> counts;
    for (int ranks = 1; ranks < all; ranks *= 2) counts.push_back(ranks);
    counts.push_back(all);
    return counts;
  }

  ShapeOptions shape_;
  ExecutionOptions execution_;
  std::vector<int> ranks_;
  bool backward_ = false;
  int repetitions_ = 5;
  std::uint64_t seed_ = 1;
  TraceOption trace_;
};

}  // namespace

std::unique_ptr<Command> make_bench_strong() {
  return std::make_unique<BenchStrong>();
}

}  // namespace annulus::cli
