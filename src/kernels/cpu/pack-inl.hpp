// Copies of queries, keys and values in the order in which the register tiles read them.

#if defined(ANNULUS_KERNELS_CPU_PACK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_PACK_INL
#undef ANNULUS_KERNELS_CPU_PACK_INL
#else
#define ANNULUS_KERNELS_CPU_PACK_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/cpu/products-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
/// The square of N rows and columns that starts at `rows`, as columns `score_rows` apart; a row is
/// a vector of D.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void transpose_square(D d, const T* rows, Index stride, T* HWY_RESTRICT columns) {
  constexpr int n = static_cast<int>(hn::MaxLanes(D()));
  hn::Vec<D> now[n];
  for (int r = 0; r < n; ++r) now[r] = hn::Load(d, rows + r * stride);
  // Every round interleaves the first half of the vectors with the second.
  for (int round = 1; round < n; round *= 2) {
    hn::Vec<D> next[n];
    for (int r = 0; r < n / 2; ++r) {
      next[2 * r] = hn::InterleaveLower(d, now[r], now[r + n / 2]);
      next[2 * r + 1] = hn::InterleaveUpper(d, now[r], now[r + n / 2]);
    }
    for (int r = 0; r < n; ++r) now[r] = next[r];
  }
  for (int c = 0; c < n; ++c) hn::Store(now[c], d, columns + c * score_rows);
}

#endif

/// `width` columns of score_rows rows, `stride` apart, one column after the other.
template <Index stride, class T>
HWY_INLINE void transpose(const T* rows, Index width, T* HWY_RESTRICT columns) {
  Index c = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<T> d;
  constexpr Index n = lanes_of<decltype(d)>;
  static_assert(score_rows % n == 0);
  for (; c + n <= width; c += n) {
    for (Index r = 0; r < score_rows; r += n) {
      transpose_square(d, rows + r * stride + c, stride, columns + c * score_rows + r);
    }
  }
#endif
  for (; c < width; ++c) {
    for (Index r = 0; r < score_rows; ++r) columns[c * score_rows + r] = rows[r * stride + c];
  }
}

/// Rows, each times its scale, as (row groups, dim, score_rows). The product is rounded once.
template <class T>
void pack_scaled_rows(const T* rows, Index stride, Index count, Index dim, const double* scale,
                      Index scale_stride, T* HWY_RESTRICT packed) {
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
        const double factor = present ? scale[(first + r) * scale_stride] : 0;
        for (Index c = 0; c < width; ++c) {
          scaled[r][c] = static_cast<T>(factor * static_cast<double>(from[c]));
        }
      }
      transpose<columns>(&scaled[0][0], width, packed);
      packed += width * score_rows;
    }
  }
}

/// Operand c of `count` rows, and zeros up to `width`.
template <class T>
HWY_INLINE void pack_column(const T* rows, Index stride, Index count, Index, Index c, Index width,
                            T* HWY_RESTRICT packed) {
  for (Index j = 0; j < count; ++j) packed[j] = rows[j * stride + c];
  for (Index j = count; j < width; ++j) packed[j] = 0;
}
HWY_INLINE void pack_column(const BFloat16* rows, Index stride, Index count, Index dim, Index c,
                            Index width, BFloat16Pair* HWY_RESTRICT packed) {
  const BFloat16* from = rows + 2 * c;
  if (2 * c + 1 < dim) {
    for (Index j = 0; j < count; ++j) packed[j] = {from[j * stride], from[j * stride + 1]};
  } else {
    for (Index j = 0; j < count; ++j) packed[j] = {from[j * stride], BFloat16()};
  }
  for (Index j = count; j < width; ++j) packed[j] = BFloat16Pair();
}

/// Rows as they are, as (row groups, operands of dim, score_rows).
template <class E>
void pack_rows(const E* rows, Index stride, Index count, Index dim,
               Operand<E>* HWY_RESTRICT packed) {
  for (Index first = 0; first < count; first += score_rows) {
    const Index present = HWY_MIN(Index{score_rows}, count - first);
    for (Index c = 0; c < operands<E>(dim); ++c, packed += score_rows) {
      pack_column(rows + first * stride, stride, present, dim, c, score_rows, packed);
    }
  }
}

/// Keys as (score tiles, operands of d, score_keys).
template <class E>
void pack_keys(const E* keys, Index stride, Index count, Index dim,
               Operand<E>* HWY_RESTRICT packed) {
  constexpr Index width = score_keys<hn::ScalableTag<Accumulator<E>>>;
  for (Index first = 0; first < key_tile<E>; first += width) {
    const Index present = HWY_MAX(Index{0}, HWY_MIN(width, count - first));
    for (Index c = 0; c < operands<E>(dim); ++c, packed += width) {
      pack_column(keys + first * stride, stride, present, dim, c, width, packed);
    }
  }
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
