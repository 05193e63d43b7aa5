// Copies of queries, keys and values in the order in which the register tiles read them.

#if defined(ANNULUS_KERNELS_CPU_PACK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_PACK_INL
#undef ANNULUS_KERNELS_CPU_PACK_INL
#else
#define ANNULUS_KERNELS_CPU_PACK_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu_products-inl.hpp"
#include "kernels/cpu_tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {

/// Rows, each times its scale, as (row groups, dim, score_rows). The product is rounded once.
/// Without `scale`, rows as they are.
template <class T>
void pack_rows(const T* rows, Index stride, Index count, Index dim, const double* scale,
               Index scale_stride, T* HWY_RESTRICT packed) {
  // Scaled along a row, where vectors are whole, and transposed while in the first-level cache.
  constexpr Index columns = 64;
  T scaled[score_rows][columns];
  for (Index first = 0; first < count; first += score_rows) {
    for (Index column = 0; column < dim; column += columns) {
      const Index width = HWY_MIN(columns, dim - column);
      for (Index r = 0; r < score_rows; ++r) {
        const bool present = first + r < count;
        const T* HWY_RESTRICT from = rows + (present ? (first + r) * stride + column : 0);
        const double factor = !present ? 0 : scale ? scale[(first + r) * scale_stride] : 1;
        for (Index c = 0; c < width; ++c) {
          scaled[r][c] = static_cast<T>(factor * static_cast<double>(from[c]));
        }
      }
      for (Index c = 0; c < width; ++c, packed += score_rows) {
        for (Index r = 0; r < score_rows; ++r) packed[r] = scaled[r][c];
      }
    }
  }
}

/// Keys as (score tiles, d, score_keys).
template <class T>
void pack_keys(const T* keys, Index stride, Index count, Index dim, T* HWY_RESTRICT packed) {
  constexpr Index width = score_keys<hn::ScalableTag<T>>;
  for (Index first = 0; first < key_tile<T>; first += width, packed += dim * width) {
    const Index present = HWY_MAX(Index{0}, HWY_MIN(width, count - first));
    const T* from = keys + first * stride;
    for (Index c = 0; c < dim; ++c) {
      T* HWY_RESTRICT to = packed + c * width;
      for (Index j = 0; j < present; ++j) to[j] = from[j * stride + c];
      for (Index j = present; j < width; ++j) to[j] = 0;
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

/// Rows as (chunks of columns, tile, columns of the chunk).
template <class T>
void pack_factors(const T* rows, Index stride, Index count, Index dim, Index tile,
                  T* HWY_RESTRICT packed) {
  for (Index column = 0; column < dim;) {
    const Index width = chunk_columns<T>(column, dim);
    const Index present = HWY_MIN(width, dim - column);
    for (Index j = 0; j < tile; ++j, packed += width) {
      const T* HWY_RESTRICT from = rows + j * stride + column;
      const Index copied = j < count ? present : 0;
      for (Index c = 0; c < copied; ++c) packed[c] = from[c];
      for (Index c = copied; c < width; ++c) packed[c] = 0;
    }
    column += width;
  }
}

/// Values as (chunks of columns, key_tile, columns of the chunk).
template <class T>
void pack_values(const T* values, Index stride, Index count, Index value_dim,
                 T* HWY_RESTRICT packed) {
  pack_factors(values, stride, count, value_dim, key_tile<T>, packed);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
