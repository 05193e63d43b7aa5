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
  Tensor q;            ///< (rows, H, d)
  Tensor row_numbers;  ///< (rows, 1, 1) or (rows, H, 1), fp64
};

/// Collective. Rank r brings offsets[r + 1] - offsets[r] rows from row `first` on: of `q` (rows, H,
/// d) and of the numbers that make their scales, (rows, 1, 1) or (rows, H, 1), all on the host.
[[nodiscard]] GatheredQueries gather_queries(comm::Communicator& communicator, ConstTensorView q,
                                             ConstTensorView row_numbers, Index first,
                                             std::span<const Index> offsets, PassReport& report);

}  // namespace annulus::ring
