#pragma once
// A model of a GPU that runs kernels on a CPU, one thread at a time and, but for kernels whose
// blocks wait for one another, one thread block after the other, and is as unkind as the
// programming model of CUDA allows.
//
// What it shows:
// - Shared memory starts as NaN in every type. The target of an asynchronous copy that is under way
//   is NaN, and becomes what was copied only when the thread that started the copy waits for its
//   group: a missing or wrong wait, a missing barrier after it, or a buffer that is filled while
//   others still read it, makes NaN of the result.
// - A warp runs as far as it can, to the next barrier or the end, before another warp runs at all;
//   within a warp one lane runs to the next instruction of the whole warp before the next lane
//   does; in the order of a Schedule. A missing barrier gives a wrong result in some order.
// - Lanes of a warp that meet at different instructions, warps that wait for what never comes, and
//   addresses outside shared memory or not aligned, are errors.
// - What a thread has written to shared memory is NaN for other warps until they have met it.
// - ldmatrix counts the conflicts of banks.
// - Blocks that wait for one another start in the order of the Schedule, and run as far as they
//   can, the one that started first or last, or any. Waiting for blocks that cannot start is an
//   error, as are additions to one number in no order, which addition_order.hpp finds whatever the
//   schedule.
// - What only compute capability 9.0 has: async_memory.hpp and warp_products.hpp say how unkind
//   that is.
//
// What it cannot show: races in finer interleavings than the above, and that memory is seen late;
// the rounding of tensor cores, which is coarser than the fp32 sums made here (they drop bits where
// they align products); exp2 off by some units in the last place; multiply-adds that nvcc makes of
// a product and a sum; registers and spills; conflicts of banks at other instructions; anything
// about time.

#include <array>
#include <cstddef>
#include <functional>
#include <span>

#include "annulus/base/index.hpp"

namespace annulus::test {

/// The order in which warps, and the lanes of each, get to run.
enum class LaneOrder { forward, backward, shuffled };

struct Schedule {
  LaneOrder order = LaneOrder::forward;
  unsigned seed = 0;  ///< of `shuffled`
};

/// Those that tests go through: the usual one, and others.
inline constexpr std::array<Schedule, 4> model_schedules{{{LaneOrder::forward},
                                                          {LaneOrder::backward},
                                                          {LaneOrder::shuffled, 1},
                                                          {LaneOrder::shuffled, 2}}};
inline constexpr std::span<const Schedule> other_model_schedules =
    std::span(model_schedules).subspan(1);

/// What is launched.
struct Launch {
  int blocks_x = 1;
  int blocks_y = 1;
  int threads = 32;
  int shared_bytes = 0;
  int registers = 0;      ///< of a thread, where warpgroups hand them to one another
  bool together = false;  ///< blocks run side by side, a few at a time, and may wait for others
  bool in_order = true;   ///< additions to one number in no order are an error
};

/// What a launch did.
struct LaunchReport {
  Index bank_conflicts = 0;  ///< times that ldmatrix had to be served again
};

/// Runs `body` as every thread of every block. Throws what a thread throws, and Error where the
/// threads of a block do what a GPU would hang on or leave undefined.
LaunchReport run_blocks(const Launch& launch, const Schedule& schedule,
                        const std::function<void()>& body);

}  // namespace annulus::test
