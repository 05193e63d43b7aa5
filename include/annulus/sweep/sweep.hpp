#pragma once
// Runs a scaling study: each point is validated, timed, and on disk before the next begins.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/measure/measurement.hpp"
#include "annulus/results/study_file.hpp"
#include "annulus/ring/thread_share.hpp"
#include "annulus/sweep/point.hpp"
#include "annulus/sweep/record.hpp"

namespace annulus::sweep {

/// What computes with inputs of a type.
using KernelOf = std::function<const kernels::Kernel&(DataType)>;

/// What a study computes with. Borrowed.
struct Resources {
  comm::Communicator& communicator;
  KernelOf kernel_of;
  const CoreShare& cores;  ///< with the threads of each rank, the same for all points
};

/// How points are measured.
struct Measuring {
  measure::Repetitions repetitions{};
  std::uint64_t seed = 1;                    ///< of the random inputs
  std::vector<PassTrace>* traces = nullptr;  ///< where all that is timed is added, if anywhere
  bool predicts = false;  ///< whether times are predicted beside, for the machine of the point
};

/// Where records go as they come.
struct Destination {
  results::StudyFile* file = nullptr;  ///< on rank 0
  const results::StudyLayout& layout;
};

/// Called on every rank after each point, with the number of points that are finished.
using PointFinished = std::function<void(Index done, Index total)>;

/// Throws InputError where the schedules of all points are misfits: those of a list are measured
/// where they fit, and points for more ranks than these are left to others.
void check_schedules(std::span<const Point> points, const Topology& topology);

/// Throws InputError where the kernels of points do not execute their plans, see check_plan; those
/// whose schedules do not fit, or that are for more ranks than these, have none.
void check_kernels(std::span<const Point> points, const Topology& topology,
                   const KernelOf& kernel_of);

/// Collective over the ranks of the point, the first of which learns all. Nothing is timed that is
/// wrong. Throws Error where the memory is not there.
[[nodiscard]] Record measure_point(const Point& point, const Resources& resources,
                                   const Measuring& measuring);

/// Collective. Measures every point that is not in the file yet and that these ranks are enough
/// for, in order, each on the first so many of them, and stores it; a file that has all points is
/// marked complete. On rank 0, the records of all points; those that others have to measure have no
/// verdict. Where `destination` is null, on all ranks, nothing is stored.
[[nodiscard]] std::vector<Record> run_sweep(std::span<const Point> points,
                                            const Resources& resources, const Measuring& measuring,
                                            const Destination* destination,
                                            const PointFinished& finished = {});

}  // namespace annulus::sweep
