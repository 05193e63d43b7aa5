#pragma once
// Queries of all ranks, brought together.

#include <span>
#include <vector>

#include "annulus/base/tensor.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::ring {

/// The queries of rank 0, then those of rank 1 and so on.
struct GatheredQueries {
  Tensor q;                    ///< (rows, H, d)
  std::vector<double> scales;  ///< (rows, H)
};

/// Collective. Rank r brings offsets[r + 1] - offsets[r] rows: those of `q` (rows, H, d) from row
/// `first` on, and their scales out of `scales` (rows, H).
[[nodiscard]] GatheredQueries gather_queries(comm::Communicator& communicator, ConstTensorView q,
                                             std::span<const double> scales, Index first,
                                             std::span<const Index> offsets, PassReport& report);

}  // namespace annulus::ring
