#pragma once
// How far attention computed in floating point may be from exact, element by element.

#include <limits>

#include "annulus/kernels/kernel.hpp"
#include "annulus/kernels/reference.hpp"

namespace annulus::kernels {

/// The rounding errors that a backend makes, relative but for `least`, and how they add up.
struct Roundings {
  double sum = 0;      ///< unit roundoff u of the type that is computed in, and of the reference
  double factor = 0;   ///< of what multiplies a value, key, query or dout
  double partial = 0;  ///< of an output or a gradient over some of the keys or queries
  double least = 0;    ///< absolute, of a factor that is too small to be a normal number
  Index longest_sum = std::numeric_limits<Index>::max();  ///< see Kernel::longest_sum

  [[nodiscard]] static Roundings of(const Kernel& kernel, DataType type);
};

/// Bounds for what direct_attention writes, in the same shapes, fp64. The derivation is in
/// docs/error-bounds.md: sums over the keys that a query sees, of probabilities, logits and values,
/// in which independent errors count by their root mean square. Absent views are left alone.
void attention_bounds(const Problem& problem, const WholeInputs& inputs, const Roundings& roundings,
                      TensorView out, TensorView lse, const StatisticsView& statistics);

/// Bounds for what direct_gradients writes, likewise. Overwrites `bounds`.
void gradient_bounds(const Problem& problem, const WholeInputs& inputs, ConstTensorView dout,
                     const Roundings& roundings, const WholeGradients& bounds);

}  // namespace annulus::kernels
