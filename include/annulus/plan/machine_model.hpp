#pragma once
// What a plan is costed with.

#include "annulus/base/index.hpp"

namespace annulus {

/// Rates of one rank. The defaults are of the order of one CPU core and one 10 Gbit/s link; plans
/// use them only to compare shardings, where the ratio alone matters.
struct MachineModel {
  double flops_per_second = 1e11;
  double bytes_per_second = 1.25e9;  ///< per rank and direction
  double latency_seconds = 5e-6;     ///< per message
  Index tile = 64;  ///< kernels compute tiles of so many queries and keys, visible or not
};

}  // namespace annulus
