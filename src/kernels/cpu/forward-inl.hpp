// Attention of a tile of queries over a panel of keys.

#if defined(ANNULUS_KERNELS_CPU_FORWARD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_FORWARD_INL
#undef ANNULUS_KERNELS_CPU_FORWARD_INL
#else
#define ANNULUS_KERNELS_CPU_FORWARD_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "annulus/attention/softmax_state.hpp"

#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/products-inl.hpp"
#include "kernels/cpu/softmax-inl.hpp"
#include "kernels/cpu/sums-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Sums of zero, centred at the maximum so far. That is finite even where nothing has been seen, so
/// that weights of hidden keys are 0.
template <class D, class E, class T = hn::TFromD<D>>
void start_sums(D d, const ForwardTile<E>& tile) {
  constexpr double least = std::numeric_limits<T>::lowest();
  const auto& scratch = tile.scratch;
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index lane = r * lanes_of<D>;
    const double centre = std::max(tile.state.maximum[r], least);
    scratch.centre[r] = static_cast<T>(centre);
    hn::Store(hn::Set(d, -std::numeric_limits<T>::infinity()), d, scratch.largest + lane);
    for (T* sum : {scratch.sum, scratch.moment, scratch.squares}) {
      hn::Store(hn::Zero(d), d, sum + lane);
    }
  }
  T* out = scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    std::fill_n(out, tile.rows.count * width, T{0});
    out += query_tile * width;
    column += width;
  }
}

/// Fetches part `part` of `parts` of the values of the state, which the sums will be added to.
template <class E>
HWY_INLINE void fetch_state(const ForwardTile<E>& tile, Index part, Index parts) {
  constexpr Index line = 64 / Index{sizeof(double)};
  constexpr int write = 1;
  const Index lines = ceil_div(tile.rows.count * tile.value_dim, line);
  for (Index i = part * lines / parts; i < (part + 1) * lines / parts; ++i) {
    __builtin_prefetch(tile.state.values + i * line, write);
  }
}

/// How the state of a tile's rows and the sums over the keys at hand, which are centred elsewhere,
/// come together.
struct TileMerge {
  HWY_ALIGN double maximum[query_tile];  ///< of both
  HWY_ALIGN double left[query_tile];     ///< factors of the state
  HWY_ALIGN double right[query_tile];    ///< factors of the sums
};

/// merge_factors() for vectors of rows. The centre of sums is at most the maximum of both.
template <class D, class E, class T = hn::TFromD<D>>
void find_factors(D d, const ForwardTile<E>& tile, TileMerge& merged) {
  const hn::ScalableTag<double> wide;
  constexpr Index lanes = lanes_of<decltype(wide)>;
  static_assert(query_tile % lanes == 0);
  const auto& scratch = tile.scratch;
  const Index rows = tile.rows.count;
  HWY_ALIGN double largest[query_tile] = {};  // the last vector may have more rows than there are
  HWY_ALIGN double centre[query_tile] = {};
  const bool largest_is_known = tile.statistics || !centre_is_kept<D, E>;
  for (Index r = 0; r < rows; ++r) {
    const Index lane = r * lanes_of<D>;
    centre[r] = static_cast<double>(scratch.centre[r]);
    if (largest_is_known) {
      const auto of_lanes = hn::Load(d, scratch.largest + lane);
      largest[r] = static_cast<double>(hn::GetLane(hn::MaxOfLanes(d, of_lanes)));
    } else {
      const auto sum = hn::Load(d, scratch.sum + lane);
      const bool seen = !hn::AllTrue(d, hn::Eq(sum, hn::Zero(d)));
      largest[r] = seen ? centre[r] : -std::numeric_limits<double>::infinity();
    }
  }
  std::copy_n(tile.state.maximum, rows, merged.maximum);
  std::fill_n(merged.maximum + rows, query_tile - rows, 0.0);
  for (Index r = 0; r < rows; r += lanes) {
    const auto state = hn::Load(wide, merged.maximum + r);
    const auto of_sums = hn::Load(wide, largest + r);
    const auto maximum = hn::IfThenElse(hn::Lt(state, of_sums), of_sums, state);
    // Where nothing has been seen, -inf - -inf is not formed.
    const auto finite = hn::Max(maximum, hn::Set(wide, std::numeric_limits<double>::lowest()));
    const auto right = exp_or_zero(wide, hn::Sub(hn::Load(wide, centre + r), finite));
    const auto seen = hn::Ne(of_sums, hn::Set(wide, -std::numeric_limits<double>::infinity()));
    hn::Store(maximum, wide, merged.maximum + r);
    hn::Store(exp_or_zero(wide, hn::Sub(state, finite)), wide, merged.left + r);
    hn::Store(hn::IfThenElseZero(seen, right), wide, merged.right + r);
  }
}

/// Merges the sums with the state of the tile's rows.
template <class D, class E, class T = hn::TFromD<D>>
void merge_sums(D d, const ForwardTile<E>& tile) {
  const auto& scratch = tile.scratch;
  const auto& state = tile.state;
  const auto over_lanes = [&](const T* from) HWY_ATTR {
    return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from))));
  };
  TileMerge merged;
  find_factors(d, tile, merged);
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index lane = r * lanes_of<D>;
    SoftmaxState<double> total{state.maximum[r], state.sum[r], state.moment[r], state.squares[r]};
    SoftmaxState<double> part{.maximum = static_cast<double>(scratch.centre[r]),
                              .sum = over_lanes(scratch.sum + lane)};
    if (tile.statistics) {
      part.moment = over_lanes(scratch.moment + lane);
      part.squares = over_lanes(scratch.squares + lane);
    }
    merge(total, part, merged.maximum[r], MergeFactors<double>{merged.left[r], merged.right[r]});
    state.maximum[r] = total.maximum;
    state.sum[r] = total.sum;
    state.moment[r] = total.moment;
    state.squares[r] = total.squares;
  }
  merge_values(scratch.out, merged.left, merged.right, tile.rows.count, tile.value_dim,
               state.values);
}

/// Every mask shows a query its own position, which is captured where it is in the tile of `keys`
/// that starts at key `first`.
template <Index keys, class E, class Scale = Unscaled>
void capture_self_logits(const ForwardTile<E>& tile, Index first, Scale scale = {}) {
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index key = tile.self_key[r];
    if (key < first || key >= first + keys) continue;
    tile.state.self_logit[r] =
        static_cast<double>(scaled(tile.scratch.scores[r * keys + key - first], scale, r));
  }
}

/// Where the keys of queries' own positions lie, from the first to the last.
template <class E>
Interval own_keys(const ForwardTile<E>& tile) {
  Interval own;
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index key = tile.self_key[r];
    if (key < 0) continue;
    own = own.empty() ? Interval{key, key + 1}
                      : Interval{std::min(own.begin, key), std::max(own.end, key + 1)};
  }
  return own;
}

/// The scores of the tile of `keys` that starts at key `first` into weights, up to the last that a
/// row sees.
template <bool statistics, Index keys, class D, class E, class Scale = Unscaled>
HWY_INLINE void weigh_tile(D d, const ForwardTile<E>& tile, Index first, Scale scale = {}) {
  if (all_seen<keys>(tile.rows, first)) {
    for (Index r = 0; r < tile.rows.count; ++r) {
      if constexpr (centre_is_kept<D, E>) {
        constexpr auto none = std::numeric_limits<hn::TFromD<D>>::lowest();
        if (tile.scratch.centre[r] != none && weigh_row_from_centre<statistics, keys>(d, tile, r)) {
          continue;
        }
      }
      weigh_row<statistics, keys>(d, tile, r, keys, scale);
    }
    return;
  }
  constexpr auto hidden = -std::numeric_limits<hn::TFromD<D>>::infinity();
  const Index count = weighed_keys<keys>(d, tile.keys_end - first);
  for (Index r = 0; r < tile.rows.count; ++r) {
    const auto seen = seen_by<keys>(tile.rows, r, 1, first);
    mask_row(d, seen, count, tile.scratch.scores + r * keys, hidden, scale.from(r));
    weigh_row<statistics, keys>(d, tile, r, count, Unscaled{});
  }
}

/// Packs the queries, times their scales; bf16 as they are, so that nothing is rounded: their
/// scores are scaled instead. Returns what is left to scale.
template <class T>
Unscaled pack_queries(const ForwardTile<T>& tile) {
  pack_scaled_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scale, tile.scratch.q);
  return {};
}
HWY_INLINE RowScales<float> pack_queries(const ForwardTile<BFloat16>& tile) {
  pack_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scratch.q);
  narrow_scales(tile);
  return {tile.scratch.scale};
}

/// The products of a tile by vectors.
template <class E>
class VectorProducts {
 public:
  using D = hn::ScalableTag<Accumulator<E>>;

  VectorProducts(D /*d*/, const ForwardTile<E>& tile) : tile_(tile), scale_(pack_queries(tile)) {}

  /// Scores of the key tile that starts at key `first`.
  HWY_INLINE void score(D d, Index first) {
    score_tile<E>(d, tile_.rows, tile_.scratch.q, tile_.keys, tile_.dim, first, scale_,
                  Ahead(values_from(first)), tile_.scratch.scores);
  }

  /// What scores are yet to be multiplied with.
  [[nodiscard]] Unscaled unscaled() const { return {}; }

  /// Adds its weights times values. The tile that starts at key `next` comes next.
  HWY_INLINE void add(D d, Index first, Index next) {
    add_products<E, Weights::by_query>(
        d, tile_.rows, tile_.scratch.weights, values_from(first), tile_.value_dim, first,
        Ahead(tile_.keys + next * operands<E>(tile_.dim)), tile_.scratch.out);
  }

 private:
  [[nodiscard]] const Operand<E>* values_from(Index key) const {
    return tile_.values + operands<E>(key) * padded<Accumulator<E>>(tile_.value_dim);
  }

  const ForwardTile<E>& tile_;
  decltype(pack_queries(std::declval<const ForwardTile<E>&>())) scale_;
};

/// The key tiles that a tile of queries meets.
template <class E>
Interval key_tiles(const ForwardTile<E>& tile) {
  return {floor_div(tile.keys_begin, key_tile<E>), ceil_div(tile.keys_end, key_tile<E>)};
}

/// Sums over the key tiles [begin, end) and merges them.
template <bool statistics, class D, class E, class Products>
void accumulate_keys(D d, const ForwardTile<E>& tile, Interval tiles, Interval own,
                     Products& products) {
  const Interval all = key_tiles(tile);
  start_sums(d, tile);
  for (Index t = tiles.begin; t < tiles.end; ++t) {
    // A little at a time, so that no load of the products waits behind many from memory.
    fetch_state(tile, t - tiles.begin, tiles.size());
    const Index first = t * key_tile<E>;
    products.score(d, first);
    if constexpr (statistics) {
      if (own.begin < first + key_tile<E> && own.end > first) {
        capture_self_logits<key_tile<E>>(tile, first, products.unscaled());
      }
    }
    weigh_tile<statistics, key_tile<E>>(d, tile, first, products.unscaled());
    // The next tile of queries begins where this one did.
    const Index next = t + 1 < all.end ? t + 1 : all.begin;
    products.add(d, first, next * key_tile<E>);
  }
  merge_sums(d, tile);
}

template <class E, class Products = VectorProducts<E>>
void accumulate(const ForwardTile<E>& tile) {
  const hn::ScalableTag<Accumulator<E>> d;
  Products products(d, tile);
  const Interval all = key_tiles(tile);
  for (Index first = all.begin; first < all.end;) {
    const Index last = std::min(all.end, (first / summed_tiles + 1) * summed_tiles);
    if (tile.statistics) {
      accumulate_keys<true>(d, tile, {first, last}, own_keys(tile), products);
    } else {
      accumulate_keys<false>(d, tile, {first, last}, {}, products);
    }
    first = last;
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
