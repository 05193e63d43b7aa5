#pragma once
// Buffers that are filled and emptied in turn: the barriers of each, and where both sides stand.

#include "kernels/cuda/device/hopper/hopper_instructions.hpp"

namespace annulus::kernels::gpu {

/// Where one side stands in a ring of buffers: steps since the start, of which follow a buffer and
/// the parity of the round. One number, for registers are few.
template <int stages>
struct RingPlace {
  static_assert((stages & (stages - 1)) == 0, "so that a division is a shift");

  unsigned steps = 0;

  [[nodiscard]] ANNULUS_DEVICE int stage() const { return static_cast<int>(steps % stages); }
  [[nodiscard]] ANNULUS_DEVICE int parity() const { return static_cast<int>(steps / stages % 2); }
  [[nodiscard]] ANNULUS_DEVICE RingPlace before() const { return {steps - 1}; }
};

/// Two barriers for each buffer: it is full, after `fillings` arrivals, and it is empty again,
/// after `readers` warps have left it. Buffers start empty: what waits for the phase before the
/// first does not wait.
template <int stages>
struct TileRing {
  SharedOffset barriers;  ///< of which there are 2 stages

  [[nodiscard]] ANNULUS_DEVICE SharedOffset full(int stage) const {
    return barriers + static_cast<SharedOffset>(8 * stage);
  }
  [[nodiscard]] ANNULUS_DEVICE SharedOffset empty(int stage) const { return full(stages + stage); }

  ANNULUS_DEVICE void init(int readers, int fillings = 1) const {
    for (int stage = 0; stage < stages; ++stage) {
      barrier_init(full(stage), fillings);
      barrier_init(empty(stage), readers);
    }
  }

  ANNULUS_DEVICE void wait_until_full(const RingPlace<stages>& place) const {
    barrier_wait(full(place.stage()), place.parity());
  }
  ANNULUS_DEVICE void wait_until_empty(const RingPlace<stages>& place) const {
    barrier_wait(empty(place.stage()), place.parity() ^ 1);
  }

  /// By a warp of those that fill, all of whose lanes have.
  ANNULUS_DEVICE void hand_over(const RingPlace<stages>& place) const {
    sync_warp();
    if (lane_index() == 0) barrier_arrive(full(place.stage()));
  }

  /// By a warp of the readers, all of whose lanes are done.
  ANNULUS_DEVICE void release(const RingPlace<stages>& place) const {
    sync_warp();
    if (lane_index() == 0) barrier_arrive(empty(place.stage()));
  }
};

}  // namespace annulus::kernels::gpu
