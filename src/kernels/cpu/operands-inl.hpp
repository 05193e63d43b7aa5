// Vectors of operands: the multiply-add that all products are made of, and what goes in and out.

#if defined(ANNULUS_KERNELS_CPU_OPERANDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_OPERANDS_INL
#undef ANNULUS_KERNELS_CPU_OPERANDS_INL
#else
#define ANNULUS_KERNELS_CPU_OPERANDS_INL
#endif

#include <hwy/highway.h>

#include <bit>
#include <cstdint>
#include <utility>

#include "kernels/cpu/operand.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
inline constexpr Index lanes_of = static_cast<Index>(hn::MaxLanes(D()));

template <class D>
HWY_INLINE hn::Vec<D> load_operands(D d, const hn::TFromD<D>* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> repeat_operand(D d, hn::TFromD<D> value) {
  return hn::Set(d, value);
}

/// a b + sum.
template <class D>
HWY_INLINE hn::Vec<D> add_product(D, hn::Vec<D> a, hn::Vec<D> b, hn::Vec<D> sum) {
  return hn::MulAdd(a, b, sum);
}

/// Two vectors of weights, as operands of the next product.
template <class D>
HWY_INLINE void store_operands(D d, hn::Vec<D> low, hn::Vec<D> high, hn::TFromD<D>* to) {
  hn::Store(low, d, to);
  hn::Store(high, d, to + lanes_of<D>);
}

#if ANNULUS_TARGET_HAS_BF16_DOT
// Instructions rather than intrinsics: those are only for functions that are compiled for machines
// with AVX512_BF16, which is no target of Highway's, and all the code around would have to be. The
// machine is asked before any of this runs.

template <class D>
using PairVec = hn::Vec<hn::RebindToUnsigned<D>>;

template <class D>
HWY_INLINE PairVec<D> load_operands(D, const BFloat16Pair* from) {
  return hn::LoadU(hn::RebindToUnsigned<D>(), reinterpret_cast<const std::uint32_t*>(from));
}

template <class D>
HWY_INLINE PairVec<D> repeat_operand(D, BFloat16Pair value) {
  return hn::Set(hn::RebindToUnsigned<D>(), std::bit_cast<std::uint32_t>(value));
}

/// a.first b.first + a.second b.second + sum, rounded once per product. Denormal numbers, of the
/// inputs and of the result, are taken as zero.
template <class D>
HWY_INLINE hn::Vec<D> add_product(D, PairVec<D> a, PairVec<D> b, hn::Vec<D> sum) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
}

/// The nearest bf16, ties to even; neighbours become pairs.
template <class D>
HWY_INLINE void store_operands(D d, hn::Vec<D> low, hn::Vec<D> high, BFloat16Pair* to) {
  PairVec<D> pairs;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(pairs.raw) : "v"(low.raw), "v"(high.raw));
  hn::StoreU(pairs, hn::RebindToUnsigned<D>(), reinterpret_cast<std::uint32_t*>(to));
}

/// The nearest bf16, ties to even, of what two rows have in each place, as pairs.
template <class D>
HWY_INLINE void store_pairs(D d, hn::Vec<D> first, hn::Vec<D> second, BFloat16Pair* to) {
  alignas(64) static constexpr std::uint16_t order[] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                        21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                        11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  PairVec<D> both;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both.raw) : "v"(first.raw), "v"(second.raw));
  both.raw = _mm512_permutexvar_epi16(_mm512_load_si512(order), both.raw);
  hn::StoreU(both, hn::RebindToUnsigned<D>(), reinterpret_cast<std::uint32_t*>(to));
}
#endif

/// A vector of operands of type O.
template <class D, class O>
using OperandVec = decltype(load_operands(D(), std::declval<const O*>()));

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
