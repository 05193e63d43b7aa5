// Attention of a tile of queries over packed keys, compiled once for each instruction set.

#include "kernels/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu_pack-inl.hpp"
#include "kernels/cpu_products-inl.hpp"
#include "kernels/cpu_softmax-inl.hpp"
#include "kernels/cpu_sums-inl.hpp"
#include "kernels/cpu_tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The state of the tile's rows in the layout of the register tiles. A sum starts in lane 0.
template <class D, class T = hn::TFromD<D>>
void load_state(D d, const ForwardTile<T>& tile) {
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
template <class D, class T = hn::TFromD<D>>
void store_state(D d, const ForwardTile<T>& tile) {
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
template <class T>
void capture_self_logits(const ForwardTile<T>& tile, Index first) {
  for (Index r = 0; r < tile.rows.count; ++r) {
    const Index key = tile.self_key[r];
    if (key < first || key >= first + key_tile<T>) continue;
    tile.state.self_logit[r] = tile.scratch.scores[r * key_tile<T> + key - first];
  }
}

template <bool statistics, class D, class T = hn::TFromD<D>>
HWY_INLINE void weigh_tile(D d, const ForwardTile<T>& tile, Index first) {
  const bool full = all_seen<T>(tile.rows, first);
  for (Index r = 0; r < tile.rows.count; ++r) {
    if (!full) {
      mask_row(d, seen_by<T>(tile.rows, r, 1, first), tile.scratch.scores + r * key_tile<T>);
    }
    weigh_row<statistics>(d, tile, r);
  }
}

template <bool statistics, class T>
void accumulate_keys(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const Index begin = floor_div(tile.keys_begin, key_tile<T>) * key_tile<T>;
  const Index padded = ceil_div(tile.value_dim, lanes_of<decltype(d)>) * lanes_of<decltype(d)>;
  for (Index first = begin; first < tile.keys_end; first += key_tile<T>) {
    score_tile(d, tile.rows, tile.scratch.q, tile.keys, tile.dim, first, tile.scratch.scores);
    if constexpr (statistics) capture_self_logits(tile, first);
    weigh_tile<statistics>(d, tile, first);
    add_products<Weights::by_query>(d, tile.rows, tile.scratch.scores, tile.values + first * padded,
                                    tile.value_dim, first, tile.scratch.out);
  }
}

template <class T>
void accumulate(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  pack_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scale, tile.scale_stride,
            tile.scratch.q);
  load_state(d, tile);
  if (tile.statistics) {
    accumulate_keys<true>(tile);
  } else {
    accumulate_keys<false>(tile);
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
    add_products<Weights::by_query>(d, tile.rows, tile.scratch.scores,
                                    tile.values + first * tile.value_stride, tile.value_dim, first,
                                    tile.scratch.out, tile.value_stride);
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

template <class T>
const TileFunctions<T>& functions() {
  static const TileFunctions<T> all{.target = hwy::TargetName(HWY_TARGET),
                                    .lanes = lanes_of<hn::ScalableTag<T>>,
                                    .pack_keys = pack_keys<T>,
                                    .pack_values = pack_values<T>,
                                    .accumulate = accumulate<T>,
                                    .accumulate_rows = accumulate_rows<T>};
  return all;
}

const TileFunctions<float>& float_functions() {
  return functions<float>();
}
const TileFunctions<double>& double_functions() {
  return functions<double>();
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace annulus::kernels {

HWY_EXPORT(float_functions);
HWY_EXPORT(double_functions);

template <>
const TileFunctions<float>& tile_functions<float>() {
  return HWY_DYNAMIC_DISPATCH(float_functions)();
}

template <>
const TileFunctions<double>& tile_functions<double>() {
  return HWY_DYNAMIC_DISPATCH(double_functions)();
}

}  // namespace annulus::kernels
#endif
