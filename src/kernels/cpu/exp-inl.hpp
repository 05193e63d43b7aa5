// e^x for vectors, as a softmax needs it.

#if defined(ANNULUS_KERNELS_CPU_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_EXP_INL
#undef ANNULUS_KERNELS_CPU_EXP_INL
#else
#define ANNULUS_KERNELS_CPU_EXP_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// e^x = 2^n e^r with n = x / ln 2, rounded to a multiple of 1 or, where 2^n comes from a table, of
// 1 / its size, so that |r| is at most half a step times ln 2; and e^r = 1 + r q(r) or, without a
// table, 1 + r + r^2 p(r), polynomials of least relative error in e^r.

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float lowest = -127 * 0.693147180559945309F;  // n = -127: e^x is taken as 0
  static constexpr float log2_e = 1.44269504088896341F;
};

template <>
struct ExpConstants<double> {
  static constexpr double lowest = -1023 * 0.693147180559945309;
  static constexpr double log2_e = 1.44269504088896341;
};

/// max(x, lowest), which is finite even for x = -inf, so that 0 x is 0 and not NaN. NaN stays NaN:
/// of two operands that are not ordered, Max takes the second on x86, the one that is NaN on ARM,
/// and the other one without vectors.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V clamp_exponent(D d, V x) {
  const V lowest = hn::Set(d, ExpConstants<hn::TFromD<D>>::lowest);
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
#else
  return hn::Max(lowest, x);
#endif
}

/// x = n ln 2 + r, from biased = n + round, whose lowest bits are those of n in steps.
template <class D, class V = hn::Vec<D>>
struct ReducedExponent {
  V biased;
  V n;
  V r;
};

/// With ln 2 as a sum of `parts`.
template <std::size_t parts, class D, class T = hn::TFromD<D>, class V = hn::Vec<D>>
HWY_INLINE ReducedExponent<D> reduce_exponent(D d, V x, T round, const T (&ln2)[parts]) {
  const V biased = hn::MulAdd(x, hn::Set(d, ExpConstants<T>::log2_e), hn::Set(d, round));
  const V n = hn::Sub(biased, hn::Set(d, round));
  for (const T part : ln2) x = hn::NegMulAdd(n, hn::Set(d, part), x);
  return {biased, n, x};
}

/// p(r), the coefficient of r^0 first.
template <std::size_t count, class D, class T = hn::TFromD<D>, class V = hn::Vec<D>>
HWY_INLINE V polynomial(D d, const T (&p)[count], V r) {
  V sum = hn::Set(d, p[count - 1]);
  for (std::size_t i = count - 1; i-- > 0;) sum = hn::MulAdd(sum, r, hn::Set(d, p[i]));
  return sum;
}

#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3

/// 2^(j / size) for the j of two vectors, and e^r = 1 + r q(r) for |r| <= ln(2) / (2 size).
template <class T>
struct ExpTable;

template <>
struct ExpTable<float> {
  static constexpr float round = 0x1.8p18F;                      // its last place is 1 / 32
  static constexpr float lowest = -126 * 0.693147180559945309F;  // e^x is the least normal number
  // It lacks 2.7e-9 of ln 2, which is 0.05 roundings for each unit of x.
  static constexpr float ln2[] = {0.693147180559945309F};
  // Relative error 5.3e-8.
  static constexpr float q[] = {1.0000146578472512572F, 0.50000113249643238703F};
  alignas(64) static constexpr float powers[] = {1.0F,
                                                 1.0218971486541166782F,
                                                 1.0442737824274138403F,
                                                 1.0671404006768236182F,
                                                 1.0905077326652576592F,
                                                 1.1143867425958925363F,
                                                 1.1387886347566916537F,
                                                 1.1637248587775775138F,
                                                 1.1892071150027210667F,
                                                 1.2152473599804688781F,
                                                 1.2418578120734840486F,
                                                 1.2690509571917332226F,
                                                 1.2968395546510096659F,
                                                 1.3252366431597412946F,
                                                 1.3542555469368927283F,
                                                 1.3839098819638319549F,
                                                 1.4142135623730950488F,
                                                 1.44518080697704662F,
                                                 1.4768261459394993114F,
                                                 1.5091644275934227398F,
                                                 1.5422108254079408236F,
                                                 1.5759808451078864865F,
                                                 1.6104903319492543082F,
                                                 1.6457554781539648445F,
                                                 1.6817928305074290861F,
                                                 1.7186192981224779156F,
                                                 1.7562521603732994831F,
                                                 1.7947090750031071864F,
                                                 1.8340080864093424635F,
                                                 1.8741676341102999013F,
                                                 1.9152065613971472939F,
                                                 1.957144124175400269F};
};

template <>
struct ExpTable<double> {
  static constexpr double round = 0x1.8p48;  // its last place is 1 / 16
  static constexpr double lowest = -1022 * 0.693147180559945309;
  static constexpr double ln2[] = {0.69314718036912381649, 1.9082149292705878e-10};
  // Relative error 1.2e-17.
  static constexpr double q[] = {1,
                                 0.49999999999999604344,
                                 0.16666666664417937113,
                                 0.041666666693251551648,
                                 0.0083334719215563141914,
                                 0.0013888594040562246741};
  alignas(64) static constexpr double powers[] = {1.0,
                                                  1.0442737824274138403,
                                                  1.0905077326652576592,
                                                  1.1387886347566916537,
                                                  1.1892071150027210667,
                                                  1.2418578120734840486,
                                                  1.2968395546510096659,
                                                  1.3542555469368927283,
                                                  1.4142135623730950488,
                                                  1.4768261459394993114,
                                                  1.5422108254079408236,
                                                  1.6104903319492543082,
                                                  1.6817928305074290861,
                                                  1.7562521603732994831,
                                                  1.8340080864093424635,
                                                  1.9152065613971472939};
};

/// powers[j] for the lowest bits j of `biased`.
HWY_INLINE __m512 looked_up(__m512 biased, const float* powers) {
  return _mm512_permutex2var_ps(_mm512_load_ps(powers), _mm512_castps_si512(biased),
                                _mm512_load_ps(powers + 16));
}
HWY_INLINE __m512d looked_up(__m512d biased, const double* powers) {
  return _mm512_permutex2var_pd(_mm512_load_pd(powers), _mm512_castpd_si512(biased),
                                _mm512_load_pd(powers + 8));
}

/// Where e^x is a normal number. NaN counts as one.
HWY_INLINE __mmask16 is_normal(__m512 x) {
  return _mm512_cmp_ps_mask(x, _mm512_set1_ps(ExpTable<float>::lowest), _CMP_NLT_UQ);
}
HWY_INLINE __mmask8 is_normal(__m512d x) {
  return _mm512_cmp_pd_mask(x, _mm512_set1_pd(ExpTable<double>::lowest), _CMP_NLT_UQ);
}

/// e 2^floor(n) where e^x is a normal number, else 0.
HWY_INLINE __m512 scaled_where_normal(__m512 e, __m512 n, __m512 x) {
  return _mm512_maskz_scalef_ps(is_normal(x), e, n);
}
HWY_INLINE __m512d scaled_where_normal(__m512d e, __m512d n, __m512d x) {
  return _mm512_maskz_scalef_pd(is_normal(x), e, n);
}

/// sum + e x where e^x is a normal number, else the sum.
HWY_INLINE __m512 added_where_normal(__m512 e, __m512 x, __m512 sum) {
  return _mm512_mask3_fmadd_ps(e, x, sum, is_normal(x));
}
HWY_INLINE __m512d added_where_normal(__m512d e, __m512d x, __m512d sum) {
  return _mm512_mask3_fmadd_pd(e, x, sum, is_normal(x));
}

/// Whether e^x above the largest number is infinite or NaN, and not just anything.
inline constexpr bool exp_shows_overflow = true;

/// e^x to about one unit in the last place; exactly 0 where it is below the normal numbers,
/// infinite or NaN above the largest, NaN for NaN.
template <class D, class T = hn::TFromD<D>, class V = hn::Vec<D>>
HWY_INLINE V exp_or_zero(D d, V x) {
  const auto reduced = reduce_exponent(d, x, ExpTable<T>::round, ExpTable<T>::ln2);
  V power;
  power.raw = looked_up(reduced.biased.raw, ExpTable<T>::powers);
  const V minus_one = hn::Mul(reduced.r, polynomial(d, ExpTable<T>::q, reduced.r));
  V e = hn::MulAdd(minus_one, power, power);
  e.raw = scaled_where_normal(e.raw, reduced.n.raw, x.raw);
  return e;
}

/// sum + e x for e = exp_or_zero(x), with nothing added where that is 0, even for x = -inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V add_exponent_times(D /*d*/, V e, V x, V sum) {
  sum.raw = added_where_normal(e.raw, x.raw, sum.raw);
  return sum;
}

#else

inline constexpr bool exp_shows_overflow = false;

/// p for |r| <= ln(2) / 2, and where the exponent lies in a number. Of the parts of ln 2 the first
/// has few bits: its product with n is exact where there is no fused multiply-add.
template <class T>
struct ExpPolynomial;

template <>
struct ExpPolynomial<float> {
  using Bits = std::int32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr float round = 0x1.8p23F + 127;  // adding it leaves n + 127 in the lowest bits
  static constexpr float ln2[] = {0.693145751953125F, 1.42860682030941723e-6F};
  // Relative error 3.1e-9.
  static constexpr float p[] = {0.49999993447838350F, 0.16666520633773323F, 0.041668388031037609F,
                                0.0083687168752623600F, 0.0013814599553094666F};
};

template <>
struct ExpPolynomial<double> {
  using Bits = std::int64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr double round = 0x1.8p52 + 1023;
  static constexpr double ln2[] = {0.69314718036912381649, 1.9082149292705878e-10};
  // Relative error 3.7e-18.
  static constexpr double p[] = {0.50000000000000106271,     0.16666666666666412515,
                                 0.041666666666530159082,    0.0083333333334944675334,
                                 0.0013888888943629989842,   0.00019841269506564000929,
                                 0.000024801493099030417868, 2.755758638842914442e-6,
                                 2.7630248336116405948e-7,   2.5000056604513258036e-8};
};

template <class D, class T = hn::TFromD<D>, class V = hn::Vec<D>>
HWY_INLINE V exp_or_zero(D d, V x) {
  using Polynomial = ExpPolynomial<T>;
  const hn::Rebind<typename Polynomial::Bits, D> bits;
  const auto reduced = reduce_exponent(d, clamp_exponent(d, x), Polynomial::round, Polynomial::ln2);
  const V power =
      hn::BitCast(d, hn::ShiftLeft<Polynomial::mantissa_bits>(hn::BitCast(bits, reduced.biased)));
  const V r = reduced.r;
  const V minus_one = hn::MulAdd(hn::Mul(r, r), polynomial(d, Polynomial::p, r), r);
  return hn::MulAdd(minus_one, power, power);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V add_exponent_times(D d, V e, V x, V sum) {
  return hn::MulAdd(e, clamp_exponent(d, x), sum);
}

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
