#pragma once
// Sums of queries that thread blocks add to in turns, from call to call of the kernel of all
// gradients.

#include <utility>

#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/kept_tiles.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// fp32 sums of the steps of some calls, which stay as they are while calls have the same steps and
/// no sum has too many terms one after the other. Then, and at the end, they are folded: added to
/// the fp64 sums of their rows, which moves 20 bytes a number.
class TurnSums {
 public:
  /// Of queries of `heads` and dimension `dim`, for at most `most_turns` additions one after the
  /// other. Borrows `launcher`.
  TurnSums(const Launcher& launcher, StreamPointer stream, const KernelChoice& choice, int heads,
           int dim, int most_turns)
      : launcher_(launcher),
        stream_(std::move(stream)),
        choice_(choice),
        heads_(heads),
        dim_(dim),
        most_turns_(most_turns) {}

  /// What a call with `tiles` adds to. Sums that cannot be that are folded into `query_sums`.
  [[nodiscard]] float* of(const GradientTiles& tiles, double* query_sums);
  /// Folds what has not been folded yet; nothing is left.
  void fold(double* query_sums);

 private:
  const Launcher& launcher_;
  StreamPointer stream_;
  KernelChoice choice_;
  int heads_;
  int dim_;
  int most_turns_;
  const GradientTiles* tiles_ = nullptr;  // of the first call; null where there are no sums
  int turns_ = 0;                         // that a sum has had, at most
  DeviceArray<float> sums_;
};

}  // namespace annulus::kernels::gpu
