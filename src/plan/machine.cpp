#include "annulus/plan/machine.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "base/choices.hpp"

namespace annulus {
namespace {

/// Operations per pair of a query and a key, of head dimension d on both sides.
constexpr double forward_operations = 4;
constexpr double backward_operations = 10;

constexpr double gigabit = 1e9 / 8;

/// What a kernel reaches in a large block, in FLOP/s, by type, pass and head dimension.
struct Speed {
  DataType type;
  Pass pass;
  Index head_dim;
  double flops;
};

/// Costs of kernels of such speeds, with what comes on top of pairs as `overhead`, for each number
/// of a row (of queries, keys).
std::vector<KernelCost> costs_of(const std::vector<Speed>& speeds, double seconds_per_number,
                                 double per_call) {
  std::vector<KernelCost> costs;
  for (const auto& [type, pass, head_dim, flops] : speeds) {
    const auto d = static_cast<double>(head_dim);
    const bool forward = pass == Pass::forward;
    costs.push_back({.type = type,
                     .pass = pass,
                     .head_dim = head_dim,
                     .per_pair = d * (forward ? forward_operations : backward_operations) / flops,
                     .per_query = d * seconds_per_number * (forward ? 1 : 2),
                     .per_key = d * seconds_per_number * (forward ? 2 : 4),
                     .per_row = d * seconds_per_number * 4,
                     .per_call = per_call});
  }
  return costs;
}

/// One core of each kind: fractions of its peak that were measured at n = 4096 with a full mask
/// (docs/performance.md); fp64 is half of fp32. Rows cost as on a core of Zen 4.
std::vector<KernelCost> core_costs(double peak, double forward_64, double forward_128,
                                   double backward_64, double backward_128, double half_to_single) {
  std::vector<Speed> speeds;
  for (const auto& [type, ratio] : {std::pair{DataType::float64, 0.5},
                                    {DataType::float32, 1.0},
                                    {DataType::bfloat16, half_to_single},
                                    {DataType::float16, 0.95}}) {
    const double flops = ratio * peak;
    speeds.push_back({type, Pass::forward, 64, flops * forward_64});
    speeds.push_back({type, Pass::forward, 128, flops * forward_128});
    speeds.push_back({type, Pass::backward, 64, flops * backward_64});
    speeds.push_back({type, Pass::backward, 128, flops * backward_128});
  }
  return costs_of(speeds, 1e-9, 5e-6);
}

Machine cores(std::string name, std::string source, std::vector<KernelCost> kernels) {
  return {.name = std::move(name),
          .source = std::move(source),
          .kernels = std::move(kernels),
          .inside = {.latency = 2e-6, .bytes_per_second = 5e9, .busy_per_byte = 1e-10},
          .between = {.latency = 2e-5, .bytes_per_second = 10 * gigabit, .busy_per_byte = 2e-10}};
}

/// GPUs with NVLink 4 (900 GB/s, both directions) and an InfiniBand NDR card each (400 Gbit/s), of
/// which nine tenths are taken: data sheets of NVIDIA H100, H200 and ConnectX-7.
Machine gpus(std::string name, std::string source, const std::vector<Speed>& speeds) {
  constexpr double reached = 0.9;
  return {.name = std::move(name),
          .source = std::move(source),
          .memory = PeerMemory::separate,
          .cores = 8,
          .kernels = costs_of(speeds, 1e-13, 5e-6),
          .inside = {.latency = 1e-5, .bytes_per_second = reached * 450e9},
          .between = {.latency = 1.5e-5, .bytes_per_second = reached * 400 * gigabit},
          .links = 8};
}

std::vector<Speed> half_speeds(double forward_64, double forward_128, double backward_64,
                               double backward_128) {
  std::vector<Speed> speeds;
  for (const auto type : {DataType::bfloat16, DataType::float16}) {
    speeds.push_back({type, Pass::forward, 64, forward_64});
    speeds.push_back({type, Pass::forward, 128, forward_128});
    speeds.push_back({type, Pass::backward, 64, backward_64});
    speeds.push_back({type, Pass::backward, 128, backward_128});
  }
  return speeds;
}

/// With fp32 and fp64, of which no kernel has been measured: a third of what the vector units do.
std::vector<Speed> with_wide_types(std::vector<Speed> speeds) {
  for (const auto& [type, flops] :
       {std::pair{DataType::float32, 67e12 / 3}, {DataType::float64, 34e12 / 3}}) {
    for (const auto pass : {Pass::forward, Pass::backward})
      speeds.push_back({type, pass, 128, flops});
  }
  return speeds;
}

}  // namespace

const std::vector<Machine>& known_machines() {
  static const std::vector<Machine> machines{
      cores("zen4", "AMD Zen 4, measured; 10 Gbit/s between nodes, assumed",
            core_costs(118e9, .82, .86, .82, .80, 1.87)),
      cores("zen5", "AMD Zen 5, measured; 10 Gbit/s between nodes, assumed",
            core_costs(267e9, .77, .80, .75, .74, 1.83)),
      cores("sapphire-rapids", "Intel Sapphire Rapids, measured; 10 Gbit/s between nodes, assumed",
            core_costs(179e9, .67, .70, .61, .64, .60)),
      gpus("h100", "data sheets: 8 GPUs of 989 TFLOP/s a node, of which kernels reach 0.6",
           with_wide_types(half_speeds(600e12, 600e12, 500e12, 500e12))),
      gpus("h200",
           "kernels of November 2026 measured on one H200; NVLink and InfiniBand from data sheets",
           with_wide_types(half_speeds(157e12, 186e12, 138e12, 152e12))),
  };
  return machines;
}

const Machine& default_machine(PeerMemory memory) {
  return find_machine(memory == PeerMemory::shared ? "zen4" : "h200");
}

const Machine& find_machine(std::string_view name) {
  const auto& machines = known_machines();
  const auto found = std::ranges::find(machines, name, &Machine::name);
  if (found != machines.end()) return *found;
  std::vector<std::string_view> names;
  for (const auto& machine : machines) names.emplace_back(machine.name);
  throw InputError(fmt::format("unknown machine '{}'; expected {}", name, choices(names)));
}

KernelCost kernel_cost(const Machine& machine, DataType type, Pass pass, Index head_dim,
                       Index value_dim) {
  const double wanted = static_cast<double>(head_dim + value_dim) / 2;
  const auto distance = [&](const KernelCost& cost) {
    return std::fabs(std::log(static_cast<double>(cost.head_dim) / wanted));
  };
  const KernelCost* nearest = nullptr;
  for (const auto& cost : machine.kernels) {
    if (cost.type != type || cost.pass != pass) continue;
    if (nearest == nullptr || distance(cost) < distance(*nearest)) nearest = &cost;
  }
  if (nearest == nullptr) {
    throw InputError(
        fmt::format("machine {} has no figures for {} {} passes; expected one that has",
                    machine.name, name_of(type), name_of(pass)));
  }
  auto cost = *nearest;
  const double scale = wanted / static_cast<double>(cost.head_dim);
  for (auto* seconds : {&cost.per_pair, &cost.per_query, &cost.per_key, &cost.per_row}) {
    *seconds *= scale;
  }
  return cost;
}

}  // namespace annulus
