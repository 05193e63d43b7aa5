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
#include "kernels/cpu/products-inl.hpp"
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
/// another; those inside are scaled.
template <class D, class T = hn::TFromD<D>, class Scale = Unscaled>
HWY_INLINE void mask_row(D d, Interval visible, Index keys, T* HWY_RESTRICT scores,
                         T in_place = -std::numeric_limits<T>::infinity(), Scale scale = {}) {
  const auto begin = hn::Set(d, static_cast<T>(visible.begin));
  const auto end = hn::Set(d, static_cast<T>(visible.end));
  const auto hidden = hn::Set(d, in_place);
  for (Index j = 0; j < keys; j += lanes_of<D>) {
    const auto index = hn::Iota(d, static_cast<T>(j));
    const auto seen = hn::And(hn::Ge(index, begin), hn::Lt(index, end));
    const auto score = scaled(d, hn::Load(d, scores + j), scale, 0);
    hn::Store(hn::IfThenElse(seen, score, hidden), d, scores + j);
  }
}

/// How far a logit may lie above the centre of its row's sums before these move to it. A weight is
/// then at most e^8, or six times that where centre_is_kept, and few rows move again after their
/// first tile of keys, where many would that move with every new maximum. Where weights are
/// rounded, that of the maximum is 1, which nothing takes from.
template <class E>
inline constexpr int above_centre = operand_size<E> == 1 ? 8 : 0;

/// Whether weights are made without a look for the largest logit first, because a row of them stays
/// in registers until their sum shows that none was too large.
template <class D, class E>
inline constexpr bool centre_is_kept =
    exp_shows_overflow&& above_centre<E> > 0 && key_tile<E> / lanes_of<D> <= 6;

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

/// The sums over the weights of row r, lane by lane, while more are added.
template <bool statistics, class D, class E>
class RowSums {
 public:
  using V = hn::Vec<D>;

  HWY_INLINE RowSums(D d, const TileScratch<E>& scratch, Index r)
      : scratch_(scratch),
        lane_(r * lanes_of<D>),
        sum_(hn::Load(d, scratch.sum + lane_)),
        moment_(hn::Load(d, scratch.moment + lane_)),
        squares_(hn::Load(d, scratch.squares + lane_)) {}

  /// The weight e^z, which is added.
  HWY_INLINE V weigh(D d, V z) {
    const V weight = exp_or_zero(d, z);
    sum_ = hn::Add(sum_, weight);
    if constexpr (statistics) {
      moment_ = add_exponent_times(d, weight, z, moment_);
      squares_ = hn::MulAdd(weight, weight, squares_);
    }
    return weight;
  }

  HWY_INLINE void store(D d) const {
    hn::Store(sum_, d, scratch_.sum + lane_);
    if constexpr (statistics) {
      hn::Store(moment_, d, scratch_.moment + lane_);
      hn::Store(squares_, d, scratch_.squares + lane_);
    }
  }

  [[nodiscard]] HWY_INLINE V sum() const { return sum_; }

 private:
  const TileScratch<E>& scratch_;
  Index lane_;
  V sum_;
  V moment_;
  V squares_;
};

/// Row r of the scores of a tile of `keys`, logits but for what `scale` has left, into weights
/// e^(z - c) for the centre c, which are added to the sums and then rounded to what values are
/// multiplied with: those of the first `count` keys.
template <bool statistics, Index keys, class D, class E, class Scale, class T = hn::TFromD<D>>
HWY_INLINE void weigh_row(D d, const ForwardTile<E>& tile, Index r, Index count, Scale scale) {
  constexpr Index lanes = lanes_of<D>;
  static_assert(keys % (2 * lanes) == 0);
  const auto& scratch = tile.scratch;
  const T* scores = scratch.scores + r * keys;
  const auto logits = [&](Index j)
                          HWY_ATTR { return scaled(d, hn::Load(d, scores + j), scale, r); };
  Operand<E>* weights = scratch.weights + r * operands<E>(keys);
  auto largest = hn::Load(d, scratch.largest + r * lanes);
  for (Index j = 0; j < count; j += lanes) largest = hn::Max(largest, logits(j));
  hn::Store(largest, d, scratch.largest + r * lanes);
  auto centre = hn::Set(d, scratch.centre[r]);
  if (!hn::AllTrue(d, hn::Le(largest, hn::Add(centre, hn::Set(d, T{above_centre<E>}))))) {
    raise_centre<statistics>(d, tile, r, hn::GetLane(hn::MaxOfLanes(d, largest)));
    centre = hn::Set(d, scratch.centre[r]);
  }
  RowSums<statistics, D, E> sums(d, scratch, r);
  for (Index j = 0; j < count; j += 2 * lanes) {
    const auto low = sums.weigh(d, hn::Sub(logits(j), centre));
    const auto high = sums.weigh(d, hn::Sub(logits(j + lanes), centre));
    store_operands(d, low, high, weights + j / operand_size<E>);
  }
  sums.store(d);
}

/// weigh_row() for all `keys` of a row whose sums have a centre, if that may stay: else changes
/// nothing and says so. Without statistics no largest logit is found.
template <bool statistics, Index keys, class D, class E, class T = hn::TFromD<D>>
HWY_INLINE bool weigh_row_from_centre(D d, const ForwardTile<E>& tile, Index r) {
  constexpr Index lanes = lanes_of<D>;
  constexpr Index vectors = keys / lanes;
  constexpr int largest_weight = 2981;  // e^8 for above_centre, rounded up
  const auto& scratch = tile.scratch;
  T* scores = scratch.scores + r * keys;
  const auto centre = hn::Set(d, scratch.centre[r]);
  auto largest = hn::Load(d, scratch.largest + r * lanes);
  RowSums<statistics, D, E> sums(d, scratch, r);
  const auto before = sums.sum();
  hn::Vec<D> weights[vectors];
  for (Index i = 0; i < vectors; ++i) {
    const auto logits = hn::Load(d, scores + i * lanes);
    if constexpr (statistics) largest = hn::Max(largest, logits);
    weights[i] = sums.weigh(d, hn::Sub(logits, centre));
  }
  const auto most = hn::Set(d, T{vectors * largest_weight});
  if (!hn::AllTrue(d, hn::Le(hn::Sub(sums.sum(), before), most))) return false;
  for (Index i = 0; i < vectors; ++i) hn::Store(weights[i], d, scores + i * lanes);
  if constexpr (statistics) hn::Store(largest, d, scratch.largest + r * lanes);
  sums.store(d);
  return true;
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
