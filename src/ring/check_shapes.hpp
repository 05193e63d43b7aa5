#pragma once
// What a pass is given, against what its plan expects on this rank.

#include <span>

#include "annulus/base/tensor_view.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::ring {

/// Throws Error, naming the tensor, where it is not (rows, heads, dim) of `type`.
void check_shape(ConstTensorView view, const char* name, DataType type, Index rows, Index heads,
                 Index dim);

/// Throws Error where `values` is neither empty nor `expected` long.
void check_length(std::span<const double> values, const char* name, Index expected);

/// Throws Error where gains, sinks or a table of scales do not fit the problem.
void check_options(const Plan& plan, int rank, std::span<const double> gain,
                   std::span<const double> sink, std::span<const double> logit_scale);

}  // namespace annulus::ring
