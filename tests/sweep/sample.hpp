#pragma once
// A small scaling study.

#include <vector>

#include "annulus/kernels/cpu.hpp"
#include "annulus/sweep/sweep.hpp"

namespace annulus::sweep {

/// A ring on each number of ranks, forward and backward.
inline std::vector<Point> sample_points(const std::vector<int>& ranks) {
  std::vector<Point> points;
  for (const auto pass : {Pass::forward, Pass::backward}) {
    for (const int count : ranks) {
      points.push_back(
          {.problem = {.query_heads = 2,
                       .key_heads = 1,
                       .head_dim = 8,
                       .documents = Documents::single(101),
                       .mask = Mask::causal()},
           .length = 101,
           .ranks = count,
           .pass = pass,
           .options = {.sharding = Sharding::zigzag, .schedule = annulus::Schedule::ring}});
    }
  }
  return points;
}

inline const CoreShare& one_core() {
  static const CoreShare cores{};
  return cores;
}

inline Resources cpu_resources(comm::Communicator& communicator) {
  return {communicator, [](DataType) -> const kernels::Kernel& { return kernels::cpu(); },
          one_core()};
}

}  // namespace annulus::sweep
