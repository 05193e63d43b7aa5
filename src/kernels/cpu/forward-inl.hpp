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

/// Merges the sums with the state of the tile's rows.
template <class D, class E, class T = hn::TFromD<D>>
void merge_sums(D d, const ForwardTile<E>& tile) {
  const auto& scratch = tile.scratch;
  const auto& state = tile.state;
  const auto over_lanes = [&](const T* from) HWY_ATTR {
    return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from))));
  };
  double left[query_tile];
  double right[query_tile];
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index lane = r * lanes_of<D>;
    SoftmaxState<double> total{state.maximum[r], state.sum[r], state.moment[r], state.squares[r]};
    const auto largest = hn::GetLane(hn::MaxOfLanes(d, hn::Load(d, scratch.largest + lane)));
    const auto risen = merge(total, {.maximum = static_cast<double>(largest)});
    const bool seen = largest != -std::numeric_limits<T>::infinity();
    SoftmaxState<double> part{.maximum = static_cast<double>(seen ? scratch.centre[r] : largest),
                              .sum = over_lanes(scratch.sum + lane)};
    if (tile.statistics) {
      part.moment = over_lanes(scratch.moment + lane);
      part.squares = over_lanes(scratch.squares + lane);
    }
    const auto factor = merge(total, part);
    state.maximum[r] = total.maximum;
    state.sum[r] = total.sum;
    state.moment[r] = total.moment;
    state.squares[r] = total.squares;
    left[r] = risen.left * factor.left;
    right[r] = factor.right;
  }
  merge_values(scratch.out, left, right, tile.rows.count, tile.value_dim, state.values);
}

/// Every mask shows a query its own position, which is captured where it is in the tile of `keys`
/// that starts at key `first`.
template <Index keys, class E>
void capture_self_logits(const ForwardTile<E>& tile, Index first) {
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index key = tile.self_key[r];
    if (key < first || key >= first + keys) continue;
    tile.state.self_logit[r] = static_cast<double>(tile.scratch.scores[r * keys + key - first]);
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
template <bool statistics, Index keys, class D, class E>
HWY_INLINE void weigh_tile(D d, const ForwardTile<E>& tile, Index first) {
  if (all_seen<keys>(tile.rows, first)) {
    for (Index r = 0; r < tile.rows.count; ++r) weigh_row<statistics, keys>(d, tile, r, keys);
    return;
  }
  const Index count = weighed_keys<keys>(d, tile.keys_end - first);
  for (Index r = 0; r < tile.rows.count; ++r) {
    const auto seen = seen_by<keys>(tile.rows, r, 1, first);
    mask_row(d, seen, count, tile.scratch.scores + r * keys);
    weigh_row<statistics, keys>(d, tile, r, count);
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
                  tile_.scratch.scores);
  }

  /// Adds its weights times values.
  HWY_INLINE void add(D d, Index first) {
    add_products<E, Weights::by_query>(
        d, tile_.rows, tile_.scratch.weights,
        tile_.values + operands<E>(first) * padded<hn::TFromD<D>>(tile_.value_dim), tile_.value_dim,
        first, tile_.scratch.out);
  }

 private:
  const ForwardTile<E>& tile_;
  decltype(pack_queries(std::declval<const ForwardTile<E>&>())) scale_;
};

/// Sums over the key tiles [begin, end) and merges them.
template <bool statistics, class D, class E, class Products>
void accumulate_keys(D d, const ForwardTile<E>& tile, Interval tiles, Interval own,
                     Products& products) {
  start_sums(d, tile);
  for (Index t = tiles.begin; t < tiles.end; ++t) {
    // A little at a time, so that no load of the products waits behind many from memory.
    fetch_state(tile, t - tiles.begin, tiles.size());
    const Index first = t * key_tile<E>;
    products.score(d, first);
    if constexpr (statistics) {
      if (own.begin < first + key_tile<E> && own.end > first) {
        capture_self_logits<key_tile<E>>(tile, first);
      }
    }
    weigh_tile<statistics, key_tile<E>>(d, tile, first);
    products.add(d, first);
  }
  merge_sums(d, tile);
}

template <class E, class Products = VectorProducts<E>>
void accumulate(const ForwardTile<E>& tile) {
  const hn::ScalableTag<Accumulator<E>> d;
  Products products(d, tile);
  const Index end = ceil_div(tile.keys_end, key_tile<E>);
  for (Index first = floor_div(tile.keys_begin, key_tile<E>); first < end;) {
    const Index last = std::min(end, (first / summed_tiles + 1) * summed_tiles);
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
