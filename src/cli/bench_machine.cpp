// annulus bench machine: what plans are predicted from, measured here.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/host_name.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/measure/kernel_cost.hpp"
#include "annulus/measure/link_cost.hpp"
#include "annulus/measure/machine_file.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"
#include "results/replacement.hpp"
#include "results/whole_file.hpp"

namespace annulus::cli {
namespace {

class BenchMachine final : public Command {
 public:
  void add_options(CLI::App& app) override {
    add_value(app, "-o,--output", output_, read_path,
              "TOML file to write; one that is there is replaced")
        ->required();
    add_list(app, "--precision", precisions_, parse_data_type, "types of inputs, a list")
        ->default_str("fp32,bf16");
    add_list(app, "--head-dim", head_dims_, number_in(dimensions), "head dimensions, a list")
        ->default_str("64,128");
    add_number(app, "--seconds", seconds_, WholeRange<int>{1, 3600}, "about how long to measure")
        ->default_str(fmt::format("{}", seconds_));
    execution_.add_compute_to(app);
  }

  void check() const override {
    (void)results::output_target(output_);
    for (const auto type : precisions_) (void)execution_.kernel(type);
  }

  int run(const Context& context) const override {
    const auto machine = measured(context);
    comm::on_root(context.communicator,
                  [&] { results::write_whole_file(output_, measure::machine_text(machine)); });
    if (context.speaks()) print(context, machine);
    return 0;
  }

 private:
  [[nodiscard]] Machine measured(const Context& context) const {
    auto& world = context.communicator;
    const auto execution = execution_.on_device(context, [&](ExecutionOptions options) {
      for (const auto type : precisions_) {
        options.precision = type;
        for (const auto head_dim : head_dims_) {
          options.try_problem({.head_dim = head_dim}, world.topology());
        }
      }
    });
    const auto cores = execution.cores(context);
    const auto& kernel = execution.kernel(precisions_.front(), world);
    auto machine = default_machine(kernels::peer_memory_of(kernel.device()));
    const bool on_cpu = kernel.device() == DeviceKind::cpu;
    const auto per_node = ranks_of_nodes(world.topology()).front().size();
    machine.name = host_name();
    machine.cores = on_cpu ? cores.cores_of_node : static_cast<int>(per_node);
    machine.kernels = measured_kernels(execution, world, cores);
    const auto stream = kernel.open_stream(place_on_node(world.topology(), world.rank()));
    const auto links = measure::measure_link_costs(
        world, stream, measure::work_of(kernel, precisions_.front(), stream));
    if (links.inside) machine.inside = *links.inside;
    if (links.between) machine.between = *links.between;
    machine.links = links.between ? links.links : machine.links;
    machine.source =
        fmt::format("measured by annulus bench machine with {} rank{} of {} thread{}{}{}",
                    world.size(), world.size() == 1 ? "" : "s", cores.threads,
                    cores.threads == 1 ? "" : "s", links.inside ? "" : "; inside nodes assumed",
                    links.between ? "" : "; between nodes assumed");
    return machine;
  }

  [[nodiscard]] std::vector<KernelCost> measured_kernels(const ExecutionOptions& execution,
                                                         comm::Communicator& world,
                                                         const CoreShare& cores) const {
    constexpr double passes = 2;
    constexpr double shapes = 8;
    const double each = seconds_ / (static_cast<double>(precisions_.size()) *
                                    static_cast<double>(head_dims_.size()) * passes * shapes);
    const double share = share_of_a_core(world.topology(), world.rank(), cores);
    std::vector<KernelCost> costs;
    for (const auto type : precisions_) {
      const auto& kernel = execution.kernel(type, world);
      for (const auto head_dim : head_dims_) {
        for (const auto pass : {Pass::forward, Pass::backward}) {
          if (pass == Pass::backward && !kernel.has_backward()) continue;
          costs.push_back(measure::measure_kernel_cost(kernel, type, pass, head_dim, world,
                                                       cores.threads, share, each));
        }
      }
    }
    return costs;
  }

  void print(const Context& context, const Machine& machine) const {
    Table kernels({"precision", "pass", "head_dim", "flops_per_second", "per_pair", "per_query",
                   "per_key", "per_row", "per_call"});
    for (const auto& cost : machine.kernels) {
      const double operations =
          static_cast<double>(cost.head_dim) * (cost.pass == Pass::forward ? 4 : 10);
      kernels.add({cell(std::string(name_of(cost.type))), cell(std::string(name_of(cost.pass))),
                   cell(cost.head_dim), cell(operations / cost.per_pair), cell(cost.per_pair),
                   cell(cost.per_query), cell(cost.per_key), cell(cost.per_row),
                   cell(cost.per_call)});
    }
    Table links({"link", "latency", "bytes_per_second", "busy_per_byte"});
    for (const auto& [name, link] :
         {std::pair{"inside", machine.inside}, {"between", machine.between}}) {
      links.add({cell(std::string(name)), cell(link.latency), cell(link.bytes_per_second),
                 cell(link.busy_per_byte)});
    }
    if (context.json) {
      const Json json{{"machine", machine.name},   {"source", machine.source},
                      {"cores", machine.cores},    {"link_count", machine.links},
                      {"kernels", kernels.json()}, {"links", links.json()},
                      {"output", output_}};
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return;
    }
    fmt::print("{}: {}\n{}\n{}wrote {}\n", machine.name, machine.source, kernels.text(),
               links.text(), output_);
  }

  std::string output_;
  std::vector<DataType> precisions_{DataType::float32, DataType::bfloat16};
  std::vector<Index> head_dims_{64, 128};
  int seconds_ = 20;
  ExecutionOptions execution_;
};

}  // namespace

std::unique_ptr<Command> make_bench_machine() {
  return std::make_unique<BenchMachine>();
}

}  // namespace annulus::cli
