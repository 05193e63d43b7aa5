// annulus bench kernel: one rank alone, against the peak of its cores.
#include <fmt/format.h>

#include "annulus/comm/agreement.hpp"
#include "annulus/comm/self.hpp"
#include "cli/command.hpp"
#include "cli/measurement.hpp"
#include "cli/options.hpp"

namespace annulus::cli {
namespace {

class BenchKernel final : public Command {
 public:
  void add_options(CLI::App& app) override {
    app.add_option("-n,--length", lengths_, "keys in each sequence, a list")
        ->delimiter(',')
        ->capture_default_str();
    app.add_option("--head-dim", head_dims_, "dimensions of queries and keys, a list")
        ->delimiter(',')
        ->capture_default_str();
    shape_.add_without_sizes_to(app);
    execution_.add_compute_to(app);
    app.add_option("--precision", execution_.precision, "fp32, fp64, bf16 or fp16")
        ->capture_default_str();
    app.add_flag("--backward", backward_, "time the backward pass in place of the forward pass");
    app.add_option("--repetitions", repetitions_, "timed passes")->capture_default_str();
    app.add_option("--seed", seed_, "of the random inputs")->capture_default_str();
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  void check() const override {
    (void)execution_.kernel(execution_.data_type());
    if (repetitions_ < 1) {
      throw InputError(
          fmt::format("--repetitions: {} is too small; expected at least 1", repetitions_));
    }
    if (!shape_.documents.empty() && lengths_.size() > 1) {
      throw InputError("--documents: gives the lengths, so --length cannot be a list");
    }
    for_each_shape([](const Problem&) {});
  }

  int run(const Context& context) const override {
    bool valid = true;
    comm::on_root(context.communicator, [&] { valid = run_alone(context); });
    Index verdict = valid ? 1 : 0;
    context.communicator.broadcast(std::as_writable_bytes(std::span(&verdict, 1)), 0);
    return verdict == 1 ? 0 : 1;
  }

 private:
  [[nodiscard]] Pass pass() const { return backward_ ? Pass::backward : Pass::forward; }

  template <class Body>
  void for_each_shape(Body body) const {
    for (const Index length : lengths_) {
      for (const Index head_dim : head_dims_) {
        auto shape = shape_;
        shape.length = length;
        shape.head_dim = head_dim;
        body(shape.problem());
      }
    }
  }

  /// Whether every shape was valid.
  [[nodiscard]] bool run_alone(const Context& context) const {
    auto alone = comm::self();
    const PlanOptions options{.data_type = execution_.data_type()};
    const auto& kernel = execution_.kernel(options.data_type);
    const int threads = execution_.threads_per_rank(alone.topology(), 0);
    bool valid = true;
    auto table = measurement_table();
    for_each_shape([&](const Problem& problem) {
      const bool right =
          validate_before_timing(problem, alone, options, kernel, threads, pass(), seed_);
      const auto plan = make_plan(problem, alone.topology(), options);
      const auto measurement = measure(plan, alone, kernel, threads, pass(), repetitions_, seed_);
      add_measurement(table, plan, threads, pass(), right, measurement);
      valid = valid && right;
    });
    if (context.json) {
      fmt::print("{}\n", Json{{"backend", kernel.name()}, {"rows", table.json()}}.dump(
                             2, ' ', false, Json::error_handler_t::replace));
    } else {
      fmt::print("backend {}\n{}", kernel.name(), table.folded_text());
    }
    return valid;
  }

  std::vector<Index> lengths_{1024, 4096};
  std::vector<Index> head_dims_{64, 128};
  ShapeOptions shape_;
  ExecutionOptions execution_;
  bool backward_ = false;
  int repetitions_ = 5;
  std::uint64_t seed_ = 1;
};

}  // namespace

std::unique_ptr<Command> make_bench_kernel() {
  return std::make_unique<BenchKernel>();
}

}  // namespace annulus::cli
