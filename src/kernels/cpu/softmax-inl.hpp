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

/// Numbers of the first `keys` outside `visible` become what logits of hidden pairs are, or
/// another.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void mask_row(D d, Interval visible, Index keys, T* HWY_RESTRICT scores,
                         T in_place = -std::numeric_limits<T>::infinity()) {
  const auto begin = hn::Set(d, static_cast<T>(visible.begin));
  const auto end = hn::Set(d, static_cast<T>(visible.end));
  const auto hidden = hn::Set(d, in_place);
  for (Index j = 0; j < keys; j += lanes_of<D>) {
    const auto index = hn::Iota(d, static_cast<T>(j));
    const auto seen = hn::And(hn::Ge(index, begin), hn::Lt(index, end));
    hn::Store(hn::IfThenElse(seen, hn::Load(d, scores + j), hidden), d, scores + j);
  }
}

/// How far a logit may lie above the centre of its row's sums before these move to it. A weight is
/// then at most e^8, and few rows move again after their first tile of keys, where many would that
/// move with every new maximum. Where weights are rounded, that of the maximum is 1, which nothing
/// takes from.
template <class E>
inline constexpr int above_centre = operand_size<E> == 1 ? 8 : 0;

/// Moves the centre of row r up: every sum is scaled by e^(old - new), and the moment also shifts
/// by l (old - new).
template <bool statistics, class E, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void raise_centre(D d, const ForwardTile<E>& tile, Index r, T centre) {
  const auto& scratch = tile.scratch;
  const Index lane = r * lanes_of<D>;
  T& old = scratch.centre[r];
  if (hn::AllTrue(d, hn::Eq(hn::Load(d, scratch.sum + lane), hn::Zero(d)))) {
    old = centre;  // no weight so far, so there is nothing to scale
    return;
  }
  const T factor = std::exp(old - centre);
  // Where the factor is 0 the shift may be infinite; what it multiplies is dropped anyway.
  const T shift = factor == 0 ? T{0} : old - centre;
  old = centre;
  const auto scale = hn::Set(d, factor);
  const auto scaled = [&](T* at) HWY_ATTR { hn::Store(hn::Mul(hn::Load(d, at), scale), d, at); };
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

/// Row r of the scores of a tile of `keys`, logits, into weights e^(z - c) for the centre c, which
/// are added to the sums and then rounded to what values are multiplied with: those of the first
/// `count` keys.
template <bool statistics, Index keys, class D, class E, class T = hn::TFromD<D>>
HWY_INLINE void weigh_row(D d, const ForwardTile<E>& tile, Index r, Index count) {
  constexpr Index lanes = lanes_of<D>;
  static_assert(keys % (2 * lanes) == 0);
  const auto& scratch = tile.scratch;
  const Index lane = r * lanes;
  const T* scores = scratch.scores + r * keys;
  Operand<E>* weights = scratch.weights + r * operands<E>(keys);
  auto largest = hn::Load(d, scratch.largest + lane);
  for (Index j = 0; j < count; j += lanes) largest = hn::Max(largest, hn::Load(d, scores + j));
  hn::Store(largest, d, scratch.largest + lane);
  auto centre = hn::Set(d, scratch.centre[r]);
  if (!hn::AllTrue(d, hn::Le(largest, hn::Add(centre, hn::Set(d, T{above_centre<E>}))))) {
    raise_centre<statistics>(d, tile, r, hn::GetLane(hn::MaxOfLanes(d, largest)));
    centre = hn::Set(d, scratch.centre[r]);
  }
  auto sum = hn::Load(d, scratch.sum + lane);
  auto moment = hn::Load(d, scratch.moment + lane);
  auto squares = hn::Load(d, scratch.squares + lane);
  for (Index j = 0; j < count; j += 2 * lanes) {
    hn::Vec<D> weight[2];
    for (int x = 0; x < 2; ++x) {
      const auto z = hn::Sub(hn::Load(d, scores + j + x * lanes), centre);
      weight[x] = exp_or_zero(d, z);
      sum = hn::Add(sum, weight[x]);
      if constexpr (statistics) {
        moment = add_exponent_times(d, weight[x], z, moment);
        squares = hn::MulAdd(weight[x], weight[x], squares);
      }
    }
    store_operands(d, weight[0], weight[1], weights + j / operand_size<E>);
  }
  hn::Store(sum, d, scratch.sum + lane);
  if constexpr (statistics) {
    hn::Store(moment, d, scratch.moment + lane);
    hn::Store(squares, d, scratch.squares + lane);
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
