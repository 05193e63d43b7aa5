// Attention of few queries, whose keys and values are read as they lie.

#if defined(ANNULUS_KERNELS_CPU_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_ROWS_INL
#undef ANNULUS_KERNELS_CPU_ROWS_INL
#else
#define ANNULUS_KERNELS_CPU_ROWS_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/forward-inl.hpp"
#include "kernels/cpu/widen-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Queries and keys, or queries and vectors of values, of a register tile: 16 sums.
inline constexpr int few = 4;

/// to[j] = scale(r) times the sum over the lanes of sums[j].
template <class D, class Scale, class T = hn::TFromD<D>>
HWY_INLINE void store_sums(D d, const hn::Vec<D> (&sums)[few], Scale scale, int r,
                           T* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  for (int j = 0; j < few; ++j) hn::StoreU(scaled(d, sums[j], scale, r), d, to + j);
#else
  // Interleaved, blocks of 16 bytes hold sums over every 2nd, then every 4th lane side by side.
  const auto add_halves = [d](auto a, auto b) HWY_ATTR {
    return hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  };
  const hn::Full128<T> block;
  const auto add_blocks = [=](auto sum, T* at) HWY_ATTR {
    alignas(64) T lanes[lanes_of<D>];
    hn::Store(sum, d, lanes);
    auto all = hn::Load(block, lanes);
    for (Index lane = lanes_of<decltype(block)>; lane < lanes_of<D>;
         lane += lanes_of<decltype(block)>) {
      all = hn::Add(all, hn::Load(block, lanes + lane));
    }
    hn::StoreU(scaled(block, all, scale, r), block, at);
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

template <class Q>
inline constexpr bool is_pair = std::is_same_v<Q, BFloat16Pair>;

/// Operands Q of a row.
template <class Q>
HWY_INLINE Index operands_of_row(Index dim) {
  return is_pair<Q> ? dim / 2 : dim;
}

/// A vector of operands Q of keys: widened elements, or pairs of bf16 as they lie.
template <class Q, class D, class S>
HWY_INLINE OperandVec<D, Q> load_factors(D d, const S* from) {
  if constexpr (is_pair<Q>) {
    return load_operands(d, reinterpret_cast<const BFloat16Pair*>(from));
  } else {
    return load_widened(d, from);
  }
}

/// A core drops what it is asked to fetch while too much is under way, and waits in full for what
/// it then misses. So every line is asked for so many times on its way here, the first time so far
/// ahead: less often where it comes from a cache, as asking takes slots of loads.
inline constexpr int times_from_cache = 3;
inline constexpr int times_from_memory = 6;
inline constexpr Index bytes_ahead = 32 << 10;

HWY_INLINE int times_fetched(bool from_memory) {
  return from_memory ? times_from_memory : times_from_cache;
}

/// Rows between the places where one is asked for.
template <class S>
HWY_INLINE Index fetch_step(Index dim, bool from_memory) {
  return ceil_div(bytes_ahead / times_fetched(from_memory), dim * static_cast<Index>(sizeof(S)));
}

/// Asks for the lines of the elements `step`, 2 step ... after `at`, which is at column `column` of
/// a row, if they are the first of a line. They go to the second-level cache, as more reads may be
/// under way to that than to the first.
template <class S>
HWY_INLINE void fetch(const S* at, Index column, Index step, bool from_memory) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  constexpr int read = 0;
  constexpr int second_level = 2;
  if (column % line != 0) return;
  int i = 1;
  for (; i <= times_from_cache; ++i) __builtin_prefetch(at + i * step, read, second_level);
  if (!from_memory) return;
  for (; i <= times_from_memory; ++i) __builtin_prefetch(at + i * step, read, second_level);
}

/// scores(r, j) = scale(r) <q(r), k(j)> for `few` rows and keys, whose dimension is a multiple of a
/// vector of operands Q. Keys from `count` on repeat the last one. Fetches as fetch() says.
template <class D, class Q, class S, class Scale, class T = hn::TFromD<D>>
HWY_INLINE void multiply_rows(D d, const Q* HWY_RESTRICT q, Index dim, const S* HWY_RESTRICT k,
                              Index k_stride, Index count, Index step, bool from_memory,
                              Scale scale, T* HWY_RESTRICT scores) {
  const S* keys[few];
  for (int j = 0; j < few; ++j) keys[j] = k + HWY_MIN(Index{j}, count - 1) * k_stride;
  hn::Vec<D> sums[few][few];
  for (int r = 0; r < few; ++r) {
    for (int j = 0; j < few; ++j) sums[r][j] = hn::Zero(d);
  }
  constexpr Index in_operand = is_pair<Q> ? 2 : 1;
  for (Index c = 0; c < dim; c += in_operand * lanes_of<D>) {
    for (int j = 0; j < few; ++j) fetch(keys[j] + c, c, step, from_memory);
    OperandVec<D, Q> key[few];
    for (int j = 0; j < few; ++j) key[j] = load_factors<Q>(d, keys[j] + c);
    for (int r = 0; r < few; ++r) {
      const auto query = load_operands(d, q + (r * dim + c) / in_operand);
      for (int j = 0; j < few; ++j) sums[r][j] = add_product(d, query, key[j], sums[r][j]);
    }
  }
  for (int r = 0; r < few; ++r) store_sums(d, sums[r], scale, r, scores + r * row_tile<T>);
}

/// Scores of a tile over the keys first .. first + row_tile - 1; only those of keys that are there
/// and seen. Later keys are fetched meanwhile.
template <class D, class Q, class S, class Scale, class T = hn::TFromD<D>>
void score_key_rows(D d, const Q* q, Scale scale, const RowTile<S>& rows, Index first) {
  const auto& tile = rows.tile;
  const Interval keys{HWY_MAX(first, tile.keys_begin), HWY_MIN(first + row_tile<T>, tile.keys_end)};
  const Index step = fetch_step<S>(tile.dim, rows.from_memory);
  const Index farthest = times_fetched(rows.from_memory) * step;
  const Index width = operands_of_row<Q>(tile.dim);
  for (Index row = 0; row < tile.rows.count; row += few) {
    for (Index j = floor_div(keys.begin - first, few) * few; first + j < keys.end; j += few) {
      const bool fetches = row == 0 && first + j + farthest + few <= rows.rows_end;
      multiply_rows(d, q + row * width, tile.dim, rows.keys + (first + j) * rows.key_stride,
                    rows.key_stride, keys.end - first - j, fetches ? step * rows.key_stride : 0,
                    rows.from_memory, scale.from(row), tile.scratch.scores + row * row_tile<T> + j);
    }
  }
}

/// out(r, c) += Sum_j weights(r, j) v(j, c) over j of `keys`, for `few` rows and `vectors` vectors
/// of columns; out has rows of that many elements. Fetches as fetch() says, for `step` rows and
/// rows before `fetch_end`.
template <int vectors, class D, class S, class T = hn::TFromD<D>>
HWY_INLINE void multiply_value_rows(D d, const T* HWY_RESTRICT weights, const S* HWY_RESTRICT v,
                                    Index v_stride, Interval keys, Index step, bool from_memory,
                                    Index fetch_end, T* HWY_RESTRICT out) {
  hn::Vec<D> sums[few][vectors];
  for (int r = 0; r < few; ++r) {
    for (int x = 0; x < vectors; ++x) sums[r][x] = hn::Zero(d);
  }
  const Index farthest = times_fetched(from_memory) * step;
  for (Index j = keys.begin; j < keys.end; ++j) {
    const Index elements = j + farthest < fetch_end ? step * v_stride : 0;
    hn::Vec<D> values[vectors];
    for (int x = 0; x < vectors; ++x) {
      constexpr Index lanes = lanes_of<D>;
      const S* at = v + j * v_stride + x * lanes;
      fetch(at, x * lanes, elements, from_memory);
      values[x] = load_widened(d, at);
    }
    for (int r = 0; r < few; ++r) {
      const auto weight = hn::Set(d, weights[r * row_tile<T> + j]);
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
  const Index step = fetch_step<S>(tile.value_dim, rows.from_memory);
  for (Index row = 0; row < tile.rows.count; row += few) {
    multiply_value_rows<vectors>(
        d, tile.scratch.weights + row * row_tile<T>, values, rows.value_stride,
        seen_by<row_tile<T>>(tile.rows, row, few, first), step, rows.from_memory,
        row == 0 ? rows.rows_end - first : 0, out + row * vectors * lanes_of<D>);
  }
}

/// Adds weights times values of the tile that starts at key `first` to the sums of all rows. Later
/// values are fetched meanwhile.
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

template <bool statistics, class Q, class S, class Scale>
void accumulate_key_rows(const Q* q, Scale scale, const RowTile<S>& rows) {
  using T = Accumulator<S>;
  const hn::ScalableTag<T> d;
  const auto& tile = rows.tile;
  for (Index first = floor_div(tile.keys_begin, row_tile<T>) * row_tile<T>; first < tile.keys_end;
       first += row_tile<T>) {
    score_key_rows(d, q, scale, rows, first);
    if constexpr (statistics) capture_self_logits<row_tile<T>>(tile, first);
    weigh_tile<statistics, row_tile<T>>(d, tile, first);
    add_value_rows(d, rows, first);
  }
}

/// Accumulates the visible keys; scores are scale(r) <q(r), k>, products of operands Q.
template <class Q, class S, class Scale>
void accumulate_scaled_rows(const Q* q, Scale scale, const RowTile<S>& rows) {
  const hn::ScalableTag<Accumulator<S>> d;
  start_sums(d, rows.tile);
  if (rows.tile.statistics) {
    accumulate_key_rows<true>(q, scale, rows);
  } else {
    accumulate_key_rows<false>(q, scale, rows);
  }
  merge_sums(d, rows.tile);
}

template <class S>
void accumulate_rows(const RowTile<S>& rows) {
  using T = Accumulator<S>;
  const auto& tile = rows.tile;
  for (Index r = 0; r < tile.rows.count; ++r) {
    const double scale = tile.scale[r];
    for (Index c = 0; c < tile.dim; ++c) {
      tile.scratch.q[r * tile.dim + c] =
          static_cast<T>(scale * static_cast<double>(tile.q[r * tile.q_stride + c]));
    }
  }
  accumulate_scaled_rows(static_cast<const T*>(tile.scratch.q), Unscaled(), rows);
}

#if ANNULUS_TARGET_HAS_BF16_DOT
/// The same with dot products of bf16 for scores: keys as they are, and so are queries, which hold
/// numbers of bf16. Weights stay in fp32.
HWY_INLINE void accumulate_row_pairs(const RowTile<BFloat16>& rows) {
  const auto& tile = rows.tile;
  auto* pairs = reinterpret_cast<BFloat16Pair*>(tile.scratch.q);
  narrow_scales(tile);
  for (Index r = 0; r < tile.rows.count; ++r) {
    const float* q = tile.q + r * tile.q_stride;
    for (Index c = 0; c < tile.dim; c += 2) {
      // The upper halves of numbers whose lower halves are 0.
      const auto low = std::bit_cast<std::uint32_t>(q[c]) >> 16;
      const auto high = std::bit_cast<std::uint32_t>(q[c + 1]) & 0xffff0000U;
      pairs[(r * tile.dim + c) / 2] = std::bit_cast<BFloat16Pair>(low | high);
    }
  }
  accumulate_scaled_rows(static_cast<const BFloat16Pair*>(pairs),
                         RowScales<float>{tile.scratch.scale}, rows);
}
#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
