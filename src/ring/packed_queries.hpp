#pragma once
// Queries as they travel.

#include <span>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::ring {

/// An item of queries: under the `table` policy their part of it, and then the queries (rows,
/// heads, d) in the plan's type.
struct PackedQueries {
  TensorView table;  ///< (rows, heads, 1), fp64, or absent
  TensorView q;
};
[[nodiscard]] PackedQueries packed_queries(const Plan& plan, const Item& item,
                                           std::span<std::byte> packed);

/// Packs own queries: `q` (rows, H, d) and, under the `table` policy, `table` (rows, H, 1).
void pack_queries(const Plan& plan, const Item& item, ConstTensorView q, ConstTensorView table,
                  device::Stream& stream, std::span<std::byte> packed);

/// An item of output gradients: lse, what rounding took from it and <dout, out>, (rows, heads, 1)
/// each in the accumulator type, and then dout (rows, heads, d_v) in the plan's type.
struct PackedOutputGradients {
  TensorView lse;
  TensorView lse_low;
  TensorView mean;
  TensorView dout;
};
[[nodiscard]] PackedOutputGradients packed_output_gradients(const Plan& plan, const Item& item,
                                                            std::span<std::byte> packed);

/// What is made of queries: states (rows, heads, state_width(d_v)) or gradients (rows, heads, d),
/// in the accumulator type.
[[nodiscard]] ConstTensorView packed_results(const Plan& plan, const Item& item,
                                             std::span<const std::byte> packed);
[[nodiscard]] TensorView packed_results(const Plan& plan, const Item& item,
                                        std::span<std::byte> packed);

}  // namespace annulus::ring
