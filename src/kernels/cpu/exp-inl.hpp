// e^x for vectors, for the x <= 0 that a softmax needs.

#if defined(ANNULUS_KERNELS_CPU_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_EXP_INL
#undef ANNULUS_KERNELS_CPU_EXP_INL
#else
#define ANNULUS_KERNELS_CPU_EXP_INL
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Constants of e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln(2)/2, and
/// e^r = 1 + r + r^2 p(r), with p of least relative error in e^r (Remez exchange).
template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  using Bits = std::int32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr float lowest = -127 * 0.693147180559945309F;  // n = -127: 2^n is written as 0
  static constexpr float round = 0x1.8p23F + 127;  // adding it leaves n + 127 in the lowest bits
  static constexpr float log2_e = 1.44269504088896341F;
  static constexpr float ln2_high = 0.693145751953125F;  // few bits, so that n ln2_high is exact
  static constexpr float ln2_low = 1.42860682030941723e-6F;
  // Relative error 3.1e-9.
  static constexpr float p[] = {0.49999993447838350F, 0.16666520633773323F, 0.041668388031037609F,
                                0.0083687168752623600F, 0.0013814599553094666F};
};

template <>
struct ExpConstants<double> {
  using Bits = std::int64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr double lowest = -1023 * 0.693147180559945309;
  static constexpr double round = 0x1.8p52 + 1023;
  static constexpr double log2_e = 1.44269504088896341;
  static constexpr double ln2_high = 0.69314718036912381649;
  static constexpr double ln2_low = 1.9082149292705878e-10;
  // Relative error 3.7e-18.
  static constexpr double p[] = {0.50000000000000106271,     0.16666666666666412515,
                                 0.041666666666530159082,    0.0083333333334944675334,
                                 0.0013888888943629989842,   0.00019841269506564000929,
                                 0.000024801493099030417868, 2.755758638842914442e-6,
                                 2.7630248336116405948e-7,   2.5000056604513258036e-8};
};

/// max(x, lowest): where e^x is 0, and finite even for x = -inf, so that e^x x is 0 and not NaN.
/// NaN stays NaN: of two operands that are not ordered, Max takes the second on x86, the one that
/// is NaN on ARM, and the other one without vectors.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V clamp_exponent(D d, V x) {
  const V lowest = hn::Set(d, ExpConstants<hn::TFromD<D>>::lowest);
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
#else
  return hn::Max(lowest, x);
#endif
}

/// e^x for lowest <= x <= 0, to about one unit in the last place; exactly 0 where e^x is below the
/// normal numbers.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_clamped(D d, V x) {
  using Constants = ExpConstants<hn::TFromD<D>>;
  const hn::Rebind<typename Constants::Bits, D> bits;
  const V round = hn::Set(d, Constants::round);
  const V biased = hn::MulAdd(x, hn::Set(d, Constants::log2_e), round);
  const V n = hn::Sub(biased, round);
  const V power =
      hn::BitCast(d, hn::ShiftLeft<Constants::mantissa_bits>(hn::BitCast(bits, biased)));
  V r = hn::NegMulAdd(n, hn::Set(d, Constants::ln2_high), x);
  r = hn::NegMulAdd(n, hn::Set(d, Constants::ln2_low), r);
  constexpr int degree = static_cast<int>(std::size(Constants::p)) - 1;
  V p = hn::Set(d, Constants::p[degree]);
  for (int i = degree - 1; i >= 0; --i) p = hn::MulAdd(p, r, hn::Set(d, Constants::p[i]));
  const V minus_one = hn::MulAdd(hn::Mul(r, r), p, r);  // e^r - 1
  return hn::MulAdd(minus_one, power, power);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
