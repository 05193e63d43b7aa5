// Elements as vectors of the type of their sums, which holds all of them.

#if defined(ANNULUS_KERNELS_CPU_WIDEN_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_WIDEN_INL
#undef ANNULUS_KERNELS_CPU_WIDEN_INL
#else
#define ANNULUS_KERNELS_CPU_WIDEN_INL
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "annulus/base/data_type.hpp"
#include "kernels/cpu/operands-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load_widened(D d, const hn::TFromD<D>* from) {
  return hn::LoadU(d, from);
}

/// 16 bits each, in the lower half of a lane.
template <class D, class S>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> load_bits(D, const S* from) {
  const hn::RebindToUnsigned<D> bits;
  const hn::Rebind<std::uint16_t, D> half;
  return hn::PromoteTo(bits, hn::LoadU(half, reinterpret_cast<const std::uint16_t*>(from)));
}

template <class D>
HWY_INLINE hn::Vec<D> load_widened(D d, const BFloat16* from) {
  return hn::BitCast(d, hn::ShiftLeft<16>(load_bits(d, from)));
}

template <class D>
HWY_INLINE hn::Vec<D> load_widened(D d, const Float16* from) {
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(from)));
#else
  // As Float16 does it.
  const hn::RebindToUnsigned<D> bits;
  const auto all = load_bits(d, from);
  const auto shifted = hn::ShiftLeft<13>(hn::And(all, hn::Set(bits, 0x7fffU)));
  const auto magnitude = hn::BitCast(bits, hn::Mul(hn::BitCast(d, shifted), hn::Set(d, 0x1p112F)));
  const auto exponent = hn::Set(bits, 0x7c00U);
  const auto number = hn::IfThenElse(hn::Eq(hn::And(all, exponent), exponent),
                                     hn::Or(shifted, hn::Set(bits, 0x7f800000U)), magnitude);
  return hn::BitCast(d, hn::Or(number, hn::ShiftLeft<16>(hn::And(all, hn::Set(bits, 0x8000U)))));
#endif
}

template <class S>
void widen(const S* HWY_RESTRICT from, Index count, Accumulator<S>* HWY_RESTRICT to) {
  const hn::ScalableTag<Accumulator<S>> d;
  Index c = 0;
  for (; c + lanes_of<decltype(d)> <= count; c += lanes_of<decltype(d)>) {
    hn::StoreU(load_widened(d, from + c), d, to + c);
  }
  for (; c < count; ++c) to[c] = static_cast<Accumulator<S>>(from[c]);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
