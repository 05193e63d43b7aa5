#pragma once
// What the products of a tile multiply.

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Two bf16 side by side, as the dot product of CPUs takes them: it multiplies a pair with another
/// and adds both products to one fp32 sum.
struct BFloat16Pair {
  BFloat16 first;
  BFloat16 second;
};

template <class E>
struct OperandOf {
  using type = E;
};
template <>
struct OperandOf<BFloat16> {
  using type = BFloat16Pair;
};

/// What is multiplied where tensors hold elements of type E: the elements, or pairs of bf16.
template <class E>
using Operand = typename OperandOf<E>::type;

/// Elements of an operand.
template <class E>
// NOLINTNEXTLINE(bugprone-sizeof-expression): no pointers
inline constexpr Index operand_size = static_cast<Index>(sizeof(Operand<E>) / sizeof(E));

/// Operands that hold so many elements; what is left of the last is zero.
template <class E>
[[nodiscard]] constexpr Index operands(Index elements) {
  return ceil_div(elements, operand_size<E>);
}

}  // namespace annulus::kernels
