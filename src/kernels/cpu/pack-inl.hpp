// Copies of queries, keys and values in the order in which the register tiles read them.

#if defined(ANNULUS_KERNELS_CPU_PACK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_PACK_INL
#undef ANNULUS_KERNELS_CPU_PACK_INL
#else
#define ANNULUS_KERNELS_CPU_PACK_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/products-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {

/// An operand as a number of its size, which moves its bits.
template <class O>
using Bits = std::conditional_t<sizeof(O) == sizeof(std::uint32_t), std::uint32_t, std::uint64_t>;

#if HWY_TARGET != HWY_SCALAR
/// The square of N rows and columns that starts at `rows`, as columns `width` apart; a row is a
/// vector of D.
template <class D, class O>
HWY_INLINE void transpose_square(D d, const char* rows, Index row_bytes, O* HWY_RESTRICT columns,
                                 Index width) {
  constexpr int n = static_cast<int>(hn::MaxLanes(D()));
  using T = hn::TFromD<D>;
  hn::Vec<D> now[n];
  for (int r = 0; r < n; ++r) {
    now[r] = hn::LoadU(d, reinterpret_cast<const T*>(rows + r * row_bytes));
  }
  // Every round interleaves the first half of the vectors with the second.
  for (int round = 1; round < n; round *= 2) {
    hn::Vec<D> next[n];
    for (int r = 0; r < n / 2; ++r) {
      next[2 * r] = hn::InterleaveLower(d, now[r], now[r + n / 2]);
      next[2 * r + 1] = hn::InterleaveUpper(d, now[r], now[r + n / 2]);
    }
    for (int r = 0; r < n; ++r) now[r] = next[r];
  }
  for (int c = 0; c < n; ++c) hn::Store(now[c], d, reinterpret_cast<T*>(columns + c * width));
}
#endif

/// `length` operands of `count` rows, `row_bytes` apart, one column of `width` after the other;
/// what is left of a column is 0.
template <class O>
HWY_INLINE void transpose(const char* rows, Index row_bytes, Index count, Index length, Index width,
                          O* HWY_RESTRICT columns) {
  const auto copy = [=](Index r, Index c) {
    std::memcpy(columns + c * width + r, rows + r * row_bytes + c * Index{sizeof(O)}, sizeof(O));
  };
  Index r = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<Bits<O>> d;
  constexpr Index n = lanes_of<decltype(d)>;
  const Index in_squares = length / n * n;
  for (; r + n <= count; r += n) {
    for (Index c = 0; c < in_squares; c += n) {
      transpose_square(d, rows + r * row_bytes + c * Index{sizeof(O)}, row_bytes,
                       columns + c * width + r, width);
    }
    for (Index c = in_squares; c < length; ++c) {
      for (Index i = r; i < r + n; ++i) copy(i, c);
    }
  }
#endif
  for (; r < count; ++r) {
    for (Index c = 0; c < length; ++c) copy(r, c);
  }
  for (Index c = 0; count < width && c < length; ++c) {
    std::fill_n(columns + c * width + count, width - count, O());
  }
}

/// Rows, each times its scale, as (row groups, dim, score_rows). The product is rounded once.
template <class T>
void pack_scaled_rows(const T* rows, Index stride, Index count, Index dim, const double* scale,
                      T* HWY_RESTRICT packed) {
  // Scaled along a row, where vectors are whole, and transposed while in the first-level cache.
  constexpr Index columns = 64;
  alignas(64) T scaled[score_rows][columns];
  for (Index first = 0; first < count; first += score_rows) {
    for (Index column = 0; column < dim; column += columns) {
      const Index width = HWY_MIN(columns, dim - column);
      for (Index r = 0; r < score_rows; ++r) {
        const bool present = first + r < count;
        const T* HWY_RESTRICT from = rows + (present ? (first + r) * stride + column : 0);
        // Rows of one head are apart, so that no hardware foresees the next ones.
        if (first + r + score_rows < count) {
          const T* next = from + score_rows * stride;
          for (Index c = 0; c < width; c += 64 / static_cast<Index>(sizeof(T))) {
            hwy::Prefetch(next + c);
          }
        }
        const double factor = present ? scale[first + r] : 0;
        for (Index c = 0; c < width; ++c) {
          scaled[r][c] = static_cast<T>(factor * static_cast<double>(from[c]));
        }
      }
      transpose(reinterpret_cast<const char*>(scaled), sizeof(scaled[0]), score_rows, width,
                score_rows, packed);
      packed += width * score_rows;
    }
  }
}

/// Rows of `dim` elements, `stride` apart, as (operands of dim, width); what is left is 0.
template <class E>
HWY_INLINE void pack_columns(const E* rows, Index stride, Index count, Index dim, Index width,
                             Operand<E>* HWY_RESTRICT packed) {
  const Index whole = dim / operand_size<E>;
  transpose(reinterpret_cast<const char*>(rows), stride * Index{sizeof(E)}, count, whole, width,
            packed);
  if constexpr (operand_size < E >> 1) {
    if (whole == operands<E>(dim)) return;
    packed += whole * width;
    for (Index j = 0; j < count; ++j) packed[j] = {rows[j * stride + dim - 1], E()};
    std::fill_n(packed + count, width - count, Operand<E>());
  }
}

/// Rows as they are, as (row groups, operands of dim, score_rows).
template <class E>
void pack_rows(const E* rows, Index stride, Index count, Index dim,
               Operand<E>* HWY_RESTRICT packed) {
  for (Index first = 0; first < count; first += score_rows) {
    pack_columns(rows + first * stride, stride, HWY_MIN(Index{score_rows}, count - first), dim,
                 score_rows, packed);
    packed += operands<E>(dim) * score_rows;
  }
}

/// The scales of a tile's rows, for queries that are as they are.
template <class E>
HWY_INLINE void narrow_scales(const ForwardTile<E>& tile) {
  for (Index r = 0; r < tile.rows.count; ++r) {
    tile.scratch.scale[r] = static_cast<Accumulator<E>>(tile.scale[r]);
  }
}

/// Keys as (score tiles, operands of d, score_keys).
template <class E>
void pack_keys(const E* keys, Index stride, Index count, Index dim,
               Operand<E>* HWY_RESTRICT packed) {
  constexpr Index width = score_keys<hn::ScalableTag<Accumulator<E>>>;
  for (Index first = 0; first < key_tile<E>; first += width) {
    const Index present = HWY_MAX(Index{0}, HWY_MIN(width, count - first));
    pack_columns(keys + first * stride, stride, present, dim, width, packed);
    packed += operands<E>(dim) * width;
  }
}

template <class T>
inline constexpr Index vector_lanes = lanes_of<hn::ScalableTag<T>>;

/// Columns of all chunks: whole vectors.
template <class T>
constexpr Index padded(Index dim) {
  return ceil_div(dim, vector_lanes<T>) * vector_lanes<T>;
}

/// Columns of the chunk that starts at `column` of d_v padded to vectors: value_vectors vectors, or
/// what is left.
template <class T>
HWY_INLINE Index chunk_columns(Index column, Index value_dim) {
  constexpr Index lanes = lanes_of<hn::ScalableTag<T>>;
  return HWY_MIN(value_vectors * lanes, ceil_div(value_dim - column, lanes) * lanes);
}

/// Rows j, j + 1 ... that make up an operand of a sum over rows, as one row of operands of the
/// `present` first columns and zeros up to `width`.
template <class E>
HWY_INLINE void pack_factor_row(const E* HWY_RESTRICT rows, Index stride, Index count,
                                Index present, Index width, Operand<E>* HWY_RESTRICT packed) {
  const Index copied = count > 0 ? present : 0;
  if constexpr (operand_size<E> == 1) {
    for (Index c = 0; c < copied; ++c) packed[c] = rows[c];
  } else if (count > 1) {
    for (Index c = 0; c < copied; ++c) packed[c] = {rows[c], rows[stride + c]};
  } else {
    for (Index c = 0; c < copied; ++c) packed[c] = {rows[c], E()};
  }
  for (Index c = copied; c < width; ++c) packed[c] = Operand<E>();
}

/// Rows as (chunks of columns, operands of tile, columns of the chunk).
template <class E>
void pack_factors(const E* rows, Index stride, Index count, Index dim, Index tile,
                  Operand<E>* HWY_RESTRICT packed) {
  for (Index column = 0; column < dim;) {
    const Index width = chunk_columns<Accumulator<E>>(column, dim);
    const Index present = HWY_MIN(width, dim - column);
    for (Index j = 0; j < tile; j += operand_size<E>, packed += width) {
      pack_factor_row(rows + j * stride + column, stride, count - j, present, width, packed);
    }
    column += width;
  }
}

/// Values as (chunks of columns, operands of key_tile, columns of the chunk).
template <class E>
void pack_values(const E* values, Index stride, Index count, Index value_dim,
                 Operand<E>* HWY_RESTRICT packed) {
  pack_factors(values, stride, count, value_dim, key_tile<E>, packed);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
