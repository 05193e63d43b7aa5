// Attention of few queries, whose keys and values are read as they lie.

#if defined(ANNULUS_KERNELS_CPU_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_ROWS_INL
#undef ANNULUS_KERNELS_CPU_ROWS_INL
#else
#define ANNULUS_KERNELS_CPU_ROWS_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/forward-inl.hpp"
#include "kernels/cpu/widen-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Queries and keys, or queries and vectors of values, of a register tile: 16 sums.
inline constexpr int few = 4;

/// to[j] = the sum over the lanes of sums[j].
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_sums(D d, const hn::Vec<D> (&sums)[few], T* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  for (int j = 0; j < few; ++j) hn::StoreU(sums[j], d, to + j);
#else
  // Interleaved, blocks of 16 bytes hold sums over every 2nd, then every 4th lane side by side.
  const auto add_halves = [d](auto a, auto b) HWY_ATTR {
    return hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  };
  const hn::Full128<T> block;
  const auto add_blocks = [d, block](auto sum, T* at) HWY_ATTR {
    alignas(64) T lanes[lanes_of<D>];
    hn::Store(sum, d, lanes);
    auto all = hn::Load(block, lanes);
    for (Index lane = lanes_of<decltype(block)>; lane < lanes_of<D>;
         lane += lanes_of<decltype(block)>) {
      all = hn::Add(all, hn::Load(block, lanes + lane));
    }
    hn::StoreU(all, block, at);
  };
  if constexpr (sizeof(T) == sizeof(float)) {
    // Pairs (0, 2) and (1, 3), so that the second round leaves them in order.
    add_blocks(add_halves(add_halves(sums[0], sums[2]), add_halves(sums[1], sums[3])), to);
  } else {
    add_blocks(add_halves(sums[0], sums[1]), to);
    add_blocks(add_halves(sums[2], sums[3]), to + 2);
  }
#endif
}

/// scores(r, j) = <q(r), k(j)> for `few` rows and keys, whose dimension is a multiple of a vector.
/// Keys from `count` on repeat the last one.
template <class D, class S, class T = hn::TFromD<D>>
HWY_INLINE void multiply_rows(D d, const T* HWY_RESTRICT q, Index dim, const S* HWY_RESTRICT k,
                              Index k_stride, Index count, T* HWY_RESTRICT scores) {
  const S* keys[few];
  for (int j = 0; j < few; ++j) keys[j] = k + HWY_MIN(Index{j}, count - 1) * k_stride;
  hn::Vec<D> sums[few][few];
  for (int r = 0; r < few; ++r) {
    for (int j = 0; j < few; ++j) sums[r][j] = hn::Zero(d);
  }
  for (Index c = 0; c < dim; c += lanes_of<D>) {
    hn::Vec<D> key[few];
    for (int j = 0; j < few; ++j) key[j] = load_widened(d, keys[j] + c);
    for (int r = 0; r < few; ++r) {
      const auto query = hn::Load(d, q + r * dim + c);
      for (int j = 0; j < few; ++j) sums[r][j] = hn::MulAdd(query, key[j], sums[r][j]);
    }
  }
  for (int r = 0; r < few; ++r) store_sums(d, sums[r], scores + r * key_tile<T>);
}

/// Asks for `few` rows from row `begin` on, of those before `end`.
template <class S>
HWY_INLINE void fetch_rows(const S* rows, Index stride, Index begin, Index end, Index dim) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  for (Index j = begin; j < HWY_MIN(begin + few, end); ++j) {
    for (Index c = 0; c < dim; c += line) hwy::Prefetch(rows + j * stride + c);
  }
}

/// Scores of a tile over the keys first .. first + key_tile - 1; only those of keys that are there
/// and seen. Their values are fetched meanwhile.
template <class D, class S, class T = hn::TFromD<D>>
void score_key_rows(D d, const RowTile<S>& rows, Index first) {
  const auto& tile = rows.tile;
  const Interval keys{HWY_MAX(first, tile.keys_begin), HWY_MIN(first + key_tile<T>, tile.keys_end)};
  for (Index row = 0; row < tile.rows.count; row += few) {
    for (Index j = floor_div(keys.begin - first, few) * few; first + j < keys.end; j += few) {
      if (row == 0) {
        fetch_rows(rows.values, rows.value_stride, first + j, keys.end, tile.value_dim);
      }
      multiply_rows(d, tile.scratch.q + row * tile.dim, tile.dim,
                    rows.keys + (first + j) * rows.key_stride, rows.key_stride,
                    keys.end - first - j, tile.scratch.scores + row * key_tile<T> + j);
    }
  }
}

/// out(r, c) += Sum_j weights(r, j) v(j, c) over j of `keys`, for `few` rows and `vectors` vectors
/// of columns; out has rows of that many elements.
template <int vectors, class D, class S, class T = hn::TFromD<D>>
HWY_INLINE void multiply_value_rows(D d, const T* HWY_RESTRICT weights, const S* HWY_RESTRICT v,
                                    Index v_stride, Interval keys, T* HWY_RESTRICT out) {
  hn::Vec<D> sums[few][vectors];
  for (int r = 0; r < few; ++r) {
    for (int x = 0; x < vectors; ++x) sums[r][x] = hn::Zero(d);
  }
  for (Index j = keys.begin; j < keys.end; ++j) {
    hn::Vec<D> values[vectors];
    for (int x = 0; x < vectors; ++x) {
      values[x] = load_widened(d, v + j * v_stride + x * lanes_of<D>);
    }
    for (int r = 0; r < few; ++r) {
      const auto weight = hn::Set(d, weights[r * key_tile<T> + j]);
      for (int x = 0; x < vectors; ++x) sums[r][x] = hn::MulAdd(weight, values[x], sums[r][x]);
    }
  }
  for (int r = 0; r < few; ++r) {
    for (int x = 0; x < vectors; ++x) {
      T* to = out + (r * vectors + x) * lanes_of<D>;
      hn::Store(hn::Add(hn::Load(d, to), sums[r][x]), d, to);
    }
  }
}

/// Adds one chunk of columns of weights times values, `vectors` vectors wide.
template <int vectors, class D, class S, class T = hn::TFromD<D>>
HWY_NOINLINE void add_value_chunk(D d, const RowTile<S>& rows, const S* values, Index first,
                                  T* out) {
  const auto& tile = rows.tile;
  for (Index row = 0; row < tile.rows.count; row += few) {
    multiply_value_rows<vectors>(d, tile.scratch.weights + row * key_tile<T>, values,
                                 rows.value_stride, seen_by<T>(tile.rows, row, few, first),
                                 out + row * vectors * lanes_of<D>);
  }
}

/// Adds weights times values of the tile that starts at key `first` to the sums of all rows. The
/// keys of the next tile are fetched meanwhile.
template <class D, class S, class T = hn::TFromD<D>>
void add_value_rows(D d, const RowTile<S>& rows, Index first) {
  const auto& tile = rows.tile;
  T* out = tile.scratch.out;
  for (Index column = 0; column < tile.value_dim;) {
    const Index width = chunk_columns<T>(column, tile.value_dim);
    const S* values = rows.values + first * rows.value_stride + column;
    switch (width / lanes_of<D>) {
      case 1:
        add_value_chunk<1>(d, rows, values, first, out);
        break;
      case 2:
        add_value_chunk<2>(d, rows, values, first, out);
        break;
      case 3:
        add_value_chunk<3>(d, rows, values, first, out);
        break;
      default:
        add_value_chunk<value_vectors>(d, rows, values, first, out);
        break;
    }
    out += query_tile * width;
    column += width;
  }
}

template <bool statistics, class S>
void accumulate_key_rows(const RowTile<S>& rows) {
  using T = Accumulator<S>;
  const hn::ScalableTag<T> d;
  const auto& tile = rows.tile;
  for (Index first = floor_div(tile.keys_begin, key_tile<T>) * key_tile<T>; first < tile.keys_end;
       first += key_tile<T>) {
    score_key_rows(d, rows, first);
    if constexpr (statistics) capture_self_logits(tile, first);
    weigh_tile<statistics>(d, tile, first);
    add_value_rows(d, rows, first);
  }
}

template <class S>
void accumulate_rows(const RowTile<S>& rows) {
  using T = Accumulator<S>;
  const hn::ScalableTag<T> d;
  const auto& tile = rows.tile;
  for (Index r = 0; r < tile.rows.count; ++r) {
    const double scale = tile.scale[r * tile.scale_stride];
    for (Index c = 0; c < tile.dim; ++c) {
      tile.scratch.q[r * tile.dim + c] =
          static_cast<T>(scale * static_cast<double>(tile.q[r * tile.q_stride + c]));
    }
  }
  start_sums(d, tile);
  if (tile.statistics) {
    accumulate_key_rows<true>(rows);
  } else {
    accumulate_key_rows<false>(rows);
  }
  merge_sums(d, tile);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
