// One step of the online softmax: a row of logits becomes weights, and the row's state moves on.

#if defined(ANNULUS_KERNELS_CPU_SOFTMAX_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_SOFTMAX_INL
#undef ANNULUS_KERNELS_CPU_SOFTMAX_INL
#else
#define ANNULUS_KERNELS_CPU_SOFTMAX_INL
#endif

#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/exp-inl.hpp"
#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Keys of a tile whose logits become weights two vectors at a time, if no row sees one from `end`
/// on.
template <Index keys, class D>
HWY_INLINE Index weighed_keys(D /*d*/, Index end) {
  return HWY_MIN(keys, ceil_div(end, 2 * lanes_of<D>) * 2 * lanes_of<D>);
}

/// Logits of the first `keys` outside `visible` become -inf.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void mask_row(D d, Interval visible, Index keys, T* HWY_RESTRICT scores) {
  const auto begin = hn::Set(d, static_cast<T>(visible.begin));
  const auto end = hn::Set(d, static_cast<T>(visible.end));
  const auto hidden = hn::Set(d, -std::numeric_limits<T>::infinity());
  for (Index j = 0; j < keys; j += lanes_of<D>) {
    const auto index = hn::Iota(d, static_cast<T>(j));
    const auto seen = hn::And(hn::Ge(index, begin), hn::Lt(index, end));
    hn::Store(hn::IfThenElse(seen, hn::Load(d, scores + j), hidden), d, scores + j);
  }
}

/// Moves row r to a larger maximum: every sum is scaled by e^(old - new), and the moment also
/// shifts by l (old - new).
template <bool statistics, class E, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void raise_maximum(D d, const ForwardTile<E>& tile, Index r, T maximum) {
  const auto& scratch = tile.scratch;
  T& old = scratch.maximum[r];
  const T factor = old == -std::numeric_limits<T>::infinity() ? T{0} : std::exp(old - maximum);
  // Where the factor is 0 the shift may be infinite; what it multiplies is dropped anyway.
  const T shift = factor == 0 ? T{0} : old - maximum;
  old = maximum;
  const auto scale = hn::Set(d, factor);
  const auto scaled = [&](T* at) HWY_ATTR { hn::Store(hn::Mul(hn::Load(d, at), scale), d, at); };
  const Index lane = r * lanes_of<D>;
  if constexpr (statistics) {
    const auto sum = hn::Load(d, scratch.sum + lane);
    const auto moment = hn::Load(d, scratch.moment + lane);
    hn::Store(hn::MulAdd(sum, hn::Set(d, shift), moment), d, scratch.moment + lane);
    scaled(scratch.moment + lane);
    scaled(scratch.squares + lane);
    scaled(scratch.squares + lane);
  }
  scaled(scratch.sum + lane);
  T* out = scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    for (Index c = 0; c < width; c += lanes_of<D>) scaled(out + r * width + c);
    out += query_tile * width;
    column += width;
  }
}

/// Row r of the scores of a tile of `keys`, logits, into weights e^(z - m), which are added to the
/// sums and then rounded to what values are multiplied with: those of the first `count` keys. The
/// maximum seldom rises after the first tiles, so only then are sums rescaled.
template <bool statistics, Index keys, class D, class E, class T = hn::TFromD<D>>
HWY_INLINE void weigh_row(D d, const ForwardTile<E>& tile, Index r, Index count) {
  constexpr Index lanes = lanes_of<D>;
  static_assert(keys % (2 * lanes) == 0);
  const auto& scratch = tile.scratch;
  const T* scores = scratch.scores + r * keys;
  Operand<E>* weights = scratch.weights + r * operands<E>(keys);
  auto largest = hn::Load(d, scores);
  for (Index j = lanes; j < count; j += lanes) {
    largest = hn::Max(largest, hn::Load(d, scores + j));
  }
  if (!hn::AllTrue(d, hn::Le(largest, hn::Set(d, scratch.maximum[r])))) {
    raise_maximum<statistics>(d, tile, r, hn::GetLane(hn::MaxOfLanes(d, largest)));
  }
  // A row that has seen nothing has only logits of -inf: their weights are 0 for any finite m.
  const bool empty = scratch.maximum[r] == -std::numeric_limits<T>::infinity();
  const auto maximum = hn::Set(d, empty ? T{0} : scratch.maximum[r]);
  auto sum = hn::Load(d, scratch.sum + r * lanes);
  auto moment = hn::Load(d, scratch.moment + r * lanes);
  auto squares = hn::Load(d, scratch.squares + r * lanes);
  for (Index j = 0; j < count; j += 2 * lanes) {
    hn::Vec<D> weight[2];
    for (int x = 0; x < 2; ++x) {
      const auto z = clamp_exponent(d, hn::Sub(hn::Load(d, scores + j + x * lanes), maximum));
      weight[x] = exp_clamped(d, z);
      sum = hn::Add(sum, weight[x]);
      if constexpr (statistics) {
        moment = hn::MulAdd(weight[x], z, moment);
        squares = hn::MulAdd(weight[x], weight[x], squares);
      }
    }
    store_operands(d, weight[0], weight[1], weights + j / operand_size<E>);
  }
  hn::Store(sum, d, scratch.sum + r * lanes);
  if constexpr (statistics) {
    hn::Store(moment, d, scratch.moment + r * lanes);
    hn::Store(squares, d, scratch.squares + r * lanes);
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
