// Attention of a tile of queries over packed keys, compiled once for each instruction set.

#include "kernels/cpu/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/products-inl.hpp"
#include "kernels/cpu/softmax-inl.hpp"
#include "kernels/cpu/sums-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The state of the tile's rows in the layout of the register tiles. A sum starts in lane 0.
template <class D, class E, class T = hn::TFromD<D>>
void load_state(D d, const ForwardTile<E>& tile) {
  const auto& scratch = tile.scratch;
  const auto in_lane_0 = [&](T value, T* to) HWY_ATTR {
    hn::Store(hn::Zero(d), d, to);
    to[0] = value;
  };
  for (Index r = 0; r < tile.rows.count; ++r) {
    in_lane_0(tile.state.sum[r], scratch.sum + r * lanes_of<D>);
    in_lane_0(tile.state.moment[r], scratch.moment + r * lanes_of<D>);
    in_lane_0(tile.state.squares[r], scratch.squares + r * lanes_of<D>);
  }
  load_sums(tile.state.values, tile.value_dim, tile.rows.count, tile.value_dim, query_tile,
            scratch.out);
}

/// The inverse of load_state.
template <class D, class E, class T = hn::TFromD<D>>
void store_state(D d, const ForwardTile<E>& tile) {
  const auto& scratch = tile.scratch;
  const auto over_lanes = [&](const T* from) HWY_ATTR {
    return hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from)));
  };
  for (Index r = 0; r < tile.rows.count; ++r) {
    tile.state.sum[r] = over_lanes(scratch.sum + r * lanes_of<D>);
    tile.state.moment[r] = over_lanes(scratch.moment + r * lanes_of<D>);
    tile.state.squares[r] = over_lanes(scratch.squares + r * lanes_of<D>);
  }
  store_sums(scratch.out, tile.rows.count, tile.value_dim, query_tile, tile.state.values,
             tile.value_dim);
}

/// Every mask shows a query its own position.
template <class E>
void capture_self_logits(const ForwardTile<E>& tile, Index first) {
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index key = tile.self_key[r];
    if (key < first || key >= first + key_tile<E>) continue;
    tile.state.self_logit[r] = tile.scratch.scores[r * key_tile<E> + key - first];
  }
}

template <bool statistics, class D, class E>
HWY_INLINE void weigh_tile(D d, const ForwardTile<E>& tile, Index first) {
  const bool full = all_seen<E>(tile.rows, first);
  for (Index r = 0; r < tile.rows.count; ++r) {
    if (!full) {
      mask_row<E>(d, seen_by<E>(tile.rows, r, 1, first), tile.scratch.scores + r * key_tile<E>);
    }
    weigh_row<statistics>(d, tile, r);
  }
}

template <bool statistics, class E, class Scale>
void accumulate_keys(const ForwardTile<E>& tile, Scale scale) {
  const hn::ScalableTag<Accumulator<E>> d;
  const Index begin = floor_div(tile.keys_begin, key_tile<E>) * key_tile<E>;
  const Index padded = ceil_div(tile.value_dim, lanes_of<decltype(d)>) * lanes_of<decltype(d)>;
  for (Index first = begin; first < tile.keys_end; first += key_tile<E>) {
    score_tile<E>(d, tile.rows, tile.scratch.q, tile.keys, tile.dim, first, scale,
                  tile.scratch.scores);
    if constexpr (statistics) capture_self_logits(tile, first);
    weigh_tile<statistics>(d, tile, first);
    add_products<E, Weights::by_query>(d, tile.rows, tile.scratch.weights,
                                       tile.values + operands<E>(first) * padded, tile.value_dim,
                                       first, tile.scratch.out);
  }
}

/// Packs the queries, times their scales; bf16 as they are, so that nothing is rounded: their
/// scores are scaled instead. Returns what is left to scale.
template <class T>
Unscaled pack_queries(const ForwardTile<T>& tile) {
  pack_scaled_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scale, tile.scale_stride,
                   tile.scratch.q);
  return {};
}
HWY_INLINE RowScales<float> pack_queries(const ForwardTile<BFloat16>& tile) {
  pack_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scratch.q);
  for (Index r = 0; r < tile.rows.count; ++r) {
    tile.scratch.scale[r] = static_cast<float>(tile.scale[r * tile.scale_stride]);
  }
  return {tile.scratch.scale};
}

template <class E>
void accumulate(const ForwardTile<E>& tile) {
  const hn::ScalableTag<Accumulator<E>> d;
  const auto scale = pack_queries(tile);
  load_state(d, tile);
  if (tile.statistics) {
    accumulate_keys<true>(tile, scale);
  } else {
    accumulate_keys<false>(tile, scale);
  }
  store_state(d, tile);
}

/// Scores of a tile over the keys first .. first + key_tile - 1, which are rows; only those of keys
/// that are there and seen.
template <class D, class T = hn::TFromD<D>>
void score_key_rows(D d, const ForwardTile<T>& tile, Index first) {
  const Interval keys{HWY_MAX(first, tile.keys_begin), HWY_MIN(first + key_tile<T>, tile.keys_end)};
  for (Index row = 0; row < tile.rows.count; row += few) {
    const T* q = tile.scratch.q + row * tile.dim;
    for (Index j = floor_div(keys.begin - first, few) * few; first + j < keys.end; j += few) {
      multiply_rows(d, q, tile.dim, tile.keys + (first + j) * tile.key_stride, tile.key_stride,
                    keys.end - first - j, tile.dim, tile.scratch.scores + row * key_tile<T> + j);
    }
  }
}

template <bool statistics, class T>
void accumulate_key_rows(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const Index begin = floor_div(tile.keys_begin, key_tile<T>) * key_tile<T>;
  for (Index first = begin; first < tile.keys_end; first += key_tile<T>) {
    score_key_rows(d, tile, first);
    if constexpr (statistics) capture_self_logits(tile, first);
    weigh_tile<statistics>(d, tile, first);
    add_products<T, Weights::by_query>(d, tile.rows, tile.scratch.weights,
                                       tile.values + first * tile.value_stride, tile.value_dim,
                                       first, tile.scratch.out, tile.value_stride);
  }
}

template <class T>
void accumulate_rows(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  for (Index r = 0; r < tile.rows.count; ++r) {
    const double scale = tile.scale[r * tile.scale_stride];
    for (Index c = 0; c < tile.dim; ++c) {
      tile.scratch.q[r * tile.dim + c] =
          static_cast<T>(scale * static_cast<double>(tile.q[r * tile.q_stride + c]));
    }
  }
  load_state(d, tile);
  if (tile.statistics) {
    accumulate_key_rows<true>(tile);
  } else {
    accumulate_key_rows<false>(tile);
  }
  store_state(d, tile);
}

template <class E>
TileFunctions<E> packed_functions() {
  return {.target = hwy::TargetName(HWY_TARGET),
          .lanes = lanes_of<hn::ScalableTag<Accumulator<E>>>,
          .pack_keys = pack_keys<E>,
          .pack_values = pack_values<E>,
          .accumulate = accumulate<E>};
}

template <class T>
const TileFunctions<T>& functions() {
  static const TileFunctions<T> all = [] {
    auto functions = packed_functions<T>();
    functions.accumulate_rows = accumulate_rows<T>;
    return functions;
  }();
  return all;
}

const TileFunctions<float>& float_functions() {
  return functions<float>();
}
const TileFunctions<double>& double_functions() {
  return functions<double>();
}
const TileFunctions<BFloat16>* bf16_functions() {
#if ANNULUS_TARGET_HAS_BF16_DOT
  static const auto all = packed_functions<BFloat16>();
  return &all;
#else
  return nullptr;
#endif
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "annulus/base/error.hpp"

namespace annulus::kernels {

HWY_EXPORT(float_functions);
HWY_EXPORT(double_functions);
HWY_EXPORT(bf16_functions);

template <>
const TileFunctions<float>& tile_functions<float>() {
  return HWY_DYNAMIC_DISPATCH(float_functions)();
}

template <>
const TileFunctions<double>& tile_functions<double>() {
  return HWY_DYNAMIC_DISPATCH(double_functions)();
}

template <>
const TileFunctions<BFloat16>& tile_functions<BFloat16>() {
  const auto* functions = HWY_DYNAMIC_DISPATCH(bf16_functions)();
  ensure(functions != nullptr, "the instruction set in use multiplies bf16");
  return *functions;
}

bool target_has_bf16_tiles() {
  return HWY_DYNAMIC_DISPATCH(bf16_functions)() != nullptr;
}

}  // namespace annulus::kernels
#endif
