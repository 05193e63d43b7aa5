#pragma once
// What cuDNN takes of a pass.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"

namespace annulus::kernels::gpu {

/// The stream of a pass over such queries. Throws InputError where cuDNN cannot honour their type,
/// the head dimensions or an option.
[[nodiscard]] const StreamPointer& stream_for(ConstTensorView q, const PassOptions& options);

/// The one scale that cuDNN takes for all queries and heads. Throws InputError where they have
/// several, or one that is not positive.
[[nodiscard]] float scale_of(const Queries& queries);

/// These rows from `row` on.
[[nodiscard]] InputRows rows_from(InputRows rows, Index row, DataType type);

}  // namespace annulus::kernels::gpu
