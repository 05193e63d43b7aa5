// Sums over the keys of a tile: weights times values, for the rows that see them.

#if defined(ANNULUS_KERNELS_CPU_SUMS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_SUMS_INL
#undef ANNULUS_KERNELS_CPU_SUMS_INL
#else
#define ANNULUS_KERNELS_CPU_SUMS_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu_pack-inl.hpp"
#include "kernels/cpu_products-inl.hpp"
#include "kernels/cpu_tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Keys of the tile that starts at key `first` which rows [row, row + count) see between them.
template <class T>
HWY_INLINE Interval seen_by(const VisibleRows& rows, Index row, Index count, Index first) {
  const Index last = HWY_MIN(row + count, rows.count) - 1;
  const auto clamped = [](Index key) { return HWY_MAX(Index{0}, HWY_MIN(key_tile<T>, key)); };
  return {clamped(rows.visible[row].begin - first), clamped(rows.visible[last].end - first)};
}

/// Whether every row sees every key of the tile that starts at key `first`.
template <class T>
HWY_INLINE bool all_seen(const VisibleRows& rows, Index first) {
  return rows.visible[rows.count - 1].begin <= first && rows.visible[0].end >= first + key_tile<T>;
}

/// scores(r, j) = <row r, key j> in the register tiles that hold visible pairs; the others keep
/// what they held. `packed_rows` as (row groups, dim, score_rows), `keys` as pack_keys leaves them.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void score_tile(D d, const VisibleRows& rows, const T* packed_rows, const T* keys,
                           Index dim, Index first, T* scores) {
  keys += first * dim;
  for (Index j = 0; j < key_tile<T>; j += score_keys<D>) {
    for (Index row = 0; row < rows.count; row += score_rows) {
      const auto seen = seen_by<T>(rows, row, score_rows, first);
      if (seen.begin >= j + score_keys<D> || seen.end <= j) continue;
      multiply_scores(d, packed_rows + row * dim, keys + j * dim, dim,
                      scores + row * key_tile<T> + j);
    }
  }
}

/// Adds one chunk of columns of weights times values, `vectors` vectors wide.
template <int vectors, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void add_chunk(D d, const VisibleRows& rows, const T* weights, const T* values,
                            Index first, T* sums) {
  for (Index row = 0; row < rows.count; row += value_rows) {
    multiply_values<vectors>(d, weights + row * key_tile<T>, values,
                             seen_by<T>(rows, row, value_rows, first),
                             sums + row * vectors * lanes_of<D>);
  }
}

/// sums(r, c) += Sum_j weights(r, j) values(j, c) over the keys of the tile that starts at `first`.
/// `values` as pack_values leaves them, `sums` as (chunks of columns, query_tile, chunk).
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void add_products(D d, const VisibleRows& rows, const T* weights, const T* values,
                             Index value_dim, Index first, T* sums) {
  constexpr Index lanes = lanes_of<D>;
  values += first * (ceil_div(value_dim, lanes) * lanes);
  for (Index column = 0; column < value_dim;) {
    const Index width = chunk_columns<T>(column, value_dim);
    switch (width / lanes) {
      case 1:
        add_chunk<1>(d, rows, weights, values, first, sums);
        break;
      case 2:
        add_chunk<2>(d, rows, weights, values, first, sums);
        break;
      case 3:
        add_chunk<3>(d, rows, weights, values, first, sums);
        break;
      default:
        add_chunk<value_vectors>(d, rows, weights, values, first, sums);
        break;
    }
    values += key_tile<T> * width;
    sums += query_tile * width;
    column += width;
  }
}

/// Rows (rows, dim) into the layout of sums, or back.
template <class T>
void load_sums(const T* from, Index stride, Index rows, Index dim, T* HWY_RESTRICT sums) {
  for (Index column = 0; column < dim;) {
    const Index width = chunk_columns<T>(column, dim);
    const Index present = HWY_MIN(width, dim - column);
    for (Index r = 0; r < rows; ++r) {
      const T* HWY_RESTRICT row = from + r * stride + column;
      for (Index c = 0; c < present; ++c) sums[r * width + c] = row[c];
    }
    sums += query_tile * width;
    column += width;
  }
}
template <class T>
void store_sums(const T* HWY_RESTRICT sums, Index rows, Index dim, T* to, Index stride) {
  for (Index column = 0; column < dim;) {
    const Index width = chunk_columns<T>(column, dim);
    const Index present = HWY_MIN(width, dim - column);
    for (Index r = 0; r < rows; ++r) {
      T* HWY_RESTRICT row = to + r * stride + column;
      for (Index c = 0; c < present; ++c) row[c] = sums[r * width + c];
    }
    sums += query_tile * width;
    column += width;
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
