#pragma once
// What a pass is given, against what its plan expects on this rank.

#include <span>

#include "annulus/attention/partial_state.hpp"
#include "annulus/attention/problem.hpp"
#include "annulus/base/tensor_view.hpp"

namespace annulus::ring {

/// Throws Error, naming the tensor, where it is not (rows, heads, dim) of `type`.
void check_shape(ConstTensorView view, const char* name, DataType type, Index rows, Index heads,
                 Index dim);

/// Throws Error where `values` is neither empty nor `expected` long.
void check_length(std::span<const double> values, const char* name, Index expected);

/// Throws Error where an output that is present does not have the shape of `rows` queries.
void check_outputs(const ForwardOutputs& outputs, DataType type, Index rows, Index heads,
                   Index value_dim);

/// Throws Error where gains, sinks or a table of scales do not fit `rows` queries of the problem,
/// and InputError where they are not finite; a sink may be -inf.
void check_options(const Problem& problem, Index rows, std::span<const double> gain,
                   std::span<const double> sink, std::span<const double> logit_scale);

}  // namespace annulus::ring
