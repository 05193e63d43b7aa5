#pragma once
// Whose turn it is to add to the sums of a step: thread blocks add in the order of the list, so
// that sums have the same bits every time. Where there are no counts, they add in any order.
//
// A block takes a ticket when it starts, which says what it computes. So it waits only for blocks
// that have started before it, and the one that started first waits for none. In GradientKernel a
// warp waits for the same warp of other blocks alone: no other adds to its part of the sums.

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/instructions.hpp"

namespace annulus::kernels::gpu {

/// The ticket of this thread block: of all that start, 0, 1, 2 and so on. `place` is for it alone.
[[nodiscard]] ANNULUS_DEVICE int ticket_of_block(std::uint32_t* tickets, SharedOffset place) {
  if (thread_index() == 0) store_shared(place, take_ticket(tickets));
  sync_threads();
  return static_cast<int>(load_shared<std::uint32_t>(place));
}

/// The turns of a warp. It looks at the count of a step long before it needs to, and says that it
/// has added when that has arrived: neither then takes time, unless it is not its turn.
class StepTurns {
 public:
  /// `count`: of a step for this warp.
  ANNULUS_DEVICE void look(const std::uint32_t* counts, int count) {
    if (counts != nullptr) seen_ = look_at(counts + count);
  }

  /// Says that the additions of the step before have been made. What others had added when it
  /// looked comes before all that follows; it is told apart whether these are all `turns` that must
  /// come before its own.
  ANNULUS_DEVICE void end_last(std::uint32_t* counts, int turns) {
    if (counts == nullptr) return;
    sync_warp();
    fence_device();
    if (last_ >= 0 && lane_index() == 0) raise(counts + last_);
    last_ = -1;
    waits_ = any(seen_ < static_cast<std::uint32_t>(turns));
  }

  /// Comes back when it is its turn: the additions to this step may follow.
  ANNULUS_DEVICE void wait(std::uint32_t* counts, int count, int turns) {
    if (waits_) {
      wait_for(counts + count, static_cast<std::uint32_t>(turns));
      fence_device();
    }
    last_ = count;
  }

 private:
  int last_ = -1;  ///< count of the step before, whose end nobody knows of yet
  std::uint32_t seen_ = 0;
  bool waits_ = false;
};

}  // namespace annulus::kernels::gpu
