// Attention of a tile of queries over packed keys, compiled once for each instruction set.

#include "kernels/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu_pack-inl.hpp"
#include "kernels/cpu_products-inl.hpp"
#include "kernels/cpu_softmax-inl.hpp"
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
  for (Index r = 0; r < tile.rows; ++r) {
    in_lane_0(tile.state.sum[r], scratch.sum + r * lanes_of<D>);
    in_lane_0(tile.state.moment[r], scratch.moment + r * lanes_of<D>);
    in_lane_0(tile.state.squares[r], scratch.squares + r * lanes_of<D>);
  }
  T* HWY_RESTRICT out = scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    const Index present = HWY_MIN(width, tile.value_dim - column);
    for (Index r = 0; r < tile.rows; ++r) {
      const T* HWY_RESTRICT from = tile.state.values + r * tile.value_dim + column;
      for (Index c = 0; c < present; ++c) out[r * width + c] = from[c];
    }
    out += query_tile * width;
    column += width;
  }
}

/// The inverse of load_state.
template <class D, class T = hn::TFromD<D>>
void store_state(D d, const ForwardTile<T>& tile) {
  const auto& scratch = tile.scratch;
  const auto over_lanes = [&](const T* from) HWY_ATTR {
    return hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from)));
  };
  for (Index r = 0; r < tile.rows; ++r) {
    tile.state.sum[r] = over_lanes(scratch.sum + r * lanes_of<D>);
    tile.state.moment[r] = over_lanes(scratch.moment + r * lanes_of<D>);
    tile.state.squares[r] = over_lanes(scratch.squares + r * lanes_of<D>);
  }
  const T* HWY_RESTRICT out = scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    const Index present = HWY_MIN(width, tile.value_dim - column);
    for (Index r = 0; r < tile.rows; ++r) {
      T* HWY_RESTRICT to = tile.state.values + r * tile.value_dim + column;
      for (Index c = 0; c < present; ++c) to[c] = out[r * width + c];
    }
    out += query_tile * width;
    column += width;
  }
}

/// Keys of the tile that starts at key `first` which rows [row, row + count) see between them.
template <class T>
HWY_INLINE Interval seen_by(const ForwardTile<T>& tile, Index row, Index count, Index first) {
  const Index last = HWY_MIN(row + count, tile.rows) - 1;
  const auto clamped = [](Index key) { return HWY_MAX(Index{0}, HWY_MIN(key_tile<T>, key)); };
  return {clamped(tile.visible[row].begin - first), clamped(tile.visible[last].end - first)};
}

/// Logits of the register tiles that hold visible pairs; the others keep what they held.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void score_keys_of_tile(D d, const ForwardTile<T>& tile, Index first) {
  const T* keys = tile.keys + first * tile.dim;
  for (Index j = 0; j < key_tile<T>; j += score_keys<D>) {
    for (Index row = 0; row < tile.rows; row += score_rows) {
      const auto seen = seen_by(tile, row, score_rows, first);
      if (seen.begin >= j + score_keys<D> || seen.end <= j) continue;
      multiply_scores(d, tile.scratch.q + row * tile.dim, keys + j * tile.dim, tile.dim,
                      tile.scratch.scores + row * key_tile<T> + j);
    }
  }
}

/// Every mask shows a query its own position.
template <class T>
void capture_self_logits(const ForwardTile<T>& tile, Index first) {
  for (Index r = 0; r < tile.rows; ++r) {
    const Index key = tile.self_key[r];
    if (key < first || key >= first + key_tile<T>) continue;
    tile.state.self_logit[r] = tile.scratch.scores[r * key_tile<T> + key - first];
  }
}

template <bool statistics, class D, class T = hn::TFromD<D>>
HWY_INLINE void weigh_tile(D d, const ForwardTile<T>& tile, Index first) {
  const bool full =
      tile.visible[tile.rows - 1].begin <= first && tile.visible[0].end >= first + key_tile<T>;
  for (Index r = 0; r < tile.rows; ++r) {
    if (!full) {
      mask_row(d, seen_by(tile, r, 1, first), tile.scratch.scores + r * key_tile<T>);
    }
    weigh_row<statistics>(d, tile, r);
  }
}

/// Adds one chunk of columns of weights times values, `vectors` vectors wide.
template <int vectors, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void add_value_chunk(D d, const ForwardTile<T>& tile, Index first, const T* values,
                                  T* out) {
  for (Index row = 0; row < tile.rows; row += value_rows) {
    multiply_values<vectors>(d, tile.scratch.scores + row * key_tile<T>, values,
                             seen_by(tile, row, value_rows, first),
                             out + row * vectors * lanes_of<D>);
  }
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void add_values(D d, const ForwardTile<T>& tile, Index first) {
  constexpr Index lanes = lanes_of<D>;
  const T* values = tile.values + first * (ceil_div(tile.value_dim, lanes) * lanes);
  T* out = tile.scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    switch (width / lanes) {
      case 1:
        add_value_chunk<1>(d, tile, first, values, out);
        break;
      case 2:
        add_value_chunk<2>(d, tile, first, values, out);
        break;
      case 3:
        add_value_chunk<3>(d, tile, first, values, out);
        break;
      default:
        add_value_chunk<value_vectors>(d, tile, first, values, out);
        break;
    }
    values += key_tile<T> * width;
    out += query_tile * width;
    column += width;
  }
}

template <bool statistics, class T>
void accumulate_keys(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const Index begin = floor_div(tile.keys_begin, key_tile<T>) * key_tile<T>;
  for (Index first = begin; first < tile.keys_end; first += key_tile<T>) {
    score_keys_of_tile(d, tile, first);
    if constexpr (statistics) capture_self_logits(tile, first);
    weigh_tile<statistics>(d, tile, first);
    add_values(d, tile, first);
  }
}

template <class T>
void accumulate(const ForwardTile<T>& tile) {
  const hn::ScalableTag<T> d;
  pack_queries(tile);
  load_state(d, tile);
  if (tile.statistics) {
    accumulate_keys<true>(tile);
  } else {
    accumulate_keys<false>(tile);
  }
  store_state(d, tile);
}

template <class T>
const TileFunctions<T>& functions() {
  static const TileFunctions<T> all{.target = hwy::TargetName(HWY_TARGET),
                                    .lanes = lanes_of<hn::ScalableTag<T>>,
                                    .pack_keys = pack_keys<T>,
                                    .pack_values = pack_values<T>,
                                    .accumulate = accumulate<T>};
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
