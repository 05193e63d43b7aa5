#pragma once
// What plans run on, as far as their time depends on it.

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/schedule.hpp"

namespace annulus {

/// Seconds that a kernel takes on one core, or one GPU. A pass takes
///   per_row (query rows) H + sum over calls [per_call + per_query (rows) H + per_key (keys) G
///   + per_pair (pairs) H],
/// where a call is one of its accumulate() and pairs are those of the tiles that it computes.
struct KernelCost {
  DataType type = DataType::float32;
  Pass pass = Pass::forward;
  Index head_dim = 0;
  double per_pair = 0;
  double per_query = 0;
  double per_key = 0;
  double per_row = 0;
  double per_call = 0;
};

/// A message of so many bytes takes latency + bytes / bytes_per_second, and on either side a core
/// is busy for busy_per_byte of each byte, computing nothing.
struct LinkCost {
  double latency = 0;
  double bytes_per_second = std::numeric_limits<double>::infinity();
  double busy_per_byte = 0;
};

struct Machine {
  std::string name{};
  std::string source{};                    ///< where its figures are from
  PeerMemory memory = PeerMemory::shared;  ///< of cores; of GPUs separate
  int cores = 0;                           ///< or GPUs, of a node; 0: as many as its ranks need
  std::vector<KernelCost> kernels{};
  LinkCost inside{};   ///< of a node: from one of its ranks to another
  LinkCost between{};  ///< nodes: one link, in either direction
  int links = 1;       ///< of a node to others, which its ranks share evenly
};

/// Of the head dimension that is nearest, in proportion to the dimensions of queries and values.
/// Throws InputError where the machine has no figures for the type and the pass.
[[nodiscard]] KernelCost kernel_cost(const Machine& machine, DataType type, Pass pass,
                                     Index head_dim, Index value_dim);

/// Machines that are known by name, and what stands for one that is not measured: `zen4`, or
/// for GPUs, whose ranks do not read each other's memory, `h200`.
[[nodiscard]] const std::vector<Machine>& known_machines();
[[nodiscard]] const Machine& default_machine(PeerMemory memory);
/// Throws InputError with the names of those that there are.
[[nodiscard]] const Machine& find_machine(std::string_view name);

}  // namespace annulus
