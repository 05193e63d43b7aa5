// Sums over the keys of a tile: weights times values, for the rows that see them.

#if defined(ANNULUS_KERNELS_CPU_SUMS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_SUMS_INL
#undef ANNULUS_KERNELS_CPU_SUMS_INL
#else
#define ANNULUS_KERNELS_CPU_SUMS_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu/long_sums.hpp"
#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/products-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Keys of the tile of `keys` that starts at key `first` which rows [row, row + count) see between
/// them.
template <Index keys>
HWY_INLINE Interval seen_by(const VisibleRows& rows, Index row, Index count, Index first) {
  const Index last = HWY_MIN(row + count, rows.count) - 1;
  const auto clamped = [](Index key) { return HWY_MAX(Index{0}, HWY_MIN(keys, key)); };
  return {clamped(rows.visible[row].begin - first), clamped(rows.visible[last].end - first)};
}

/// Whether every row sees every key of the tile of `keys` that starts at key `first`.
template <Index keys>
HWY_INLINE bool all_seen(const VisibleRows& rows, Index first) {
  return rows.visible[rows.count - 1].begin <= first && rows.visible[0].end >= first + keys;
}

/// scores(r, j) = scale(r) <row r, key j> in the register tiles that hold visible pairs; the others
/// keep what they held. `packed_rows` as (row groups, operands of dim, score_rows), `keys` as
/// pack_keys leaves them.
template <class E, class D, class Scale, class T = hn::TFromD<D>>
HWY_INLINE void score_tile(D d, const VisibleRows& rows, const Operand<E>* packed_rows,
                           const Operand<E>* keys, Index dim, Index first, Scale scale, Ahead ahead,
                           T* scores) {
  const Index length = operands<E>(dim);
  keys += first * length;
  for (Index j = 0; j < key_tile<E>; j += score_keys<D>) {
    for (Index row = 0; row < rows.count; row += score_rows) {
      const auto seen = seen_by<key_tile<E>>(rows, row, score_rows, first);
      if (seen.begin >= j + score_keys<D> || seen.end <= j) continue;
      const Index before = j / score_keys<D> * (query_tile / score_rows) + row / score_rows;
      multiply_scores<E>(d, packed_rows + row * length, keys + j * length, length, scale.from(row),
                         ahead.after(before * length), scores + row * key_tile<E> + j);
    }
  }
}

/// Queries of the tile that see some of the keys [key, key + count) of the tile that starts at key
/// `first`.
HWY_INLINE Interval seeing(const VisibleRows& rows, Index key, Index count, Index first) {
  Index begin = 0;
  Index end = rows.count;
  while (begin < end && rows.visible[begin].end <= first + key) ++begin;
  while (end > begin && rows.visible[end - 1].begin >= first + key + count) --end;
  return {begin, end};
}

/// Operands that hold some of the elements of an interval. What else they hold has weight 0.
template <class E>
HWY_INLINE Interval operands_of(Interval elements) {
  if (elements.empty()) return {};
  return {floor_div(elements.begin, operand_size<E>), ceil_div(elements.end, operand_size<E>)};
}

/// Adds one chunk of columns of weights times values, `vectors` vectors wide.
template <class E, int vectors, Weights order, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void add_chunk(D d, const VisibleRows& rows, const Operand<E>* weights,
                            const Operand<E>* values, Index first, Ahead ahead, T* sums) {
  if constexpr (order == Weights::by_query) {
    for (Index row = 0; row < rows.count; row += value_rows) {
      multiply_values<E, vectors, order>(
          d, weights + row * operands<E>(key_tile<E>), values,
          operands_of<E>(seen_by<key_tile<E>>(rows, row, value_rows, first)),
          ahead.after(row / value_rows * operands<E>(key_tile<E>)),
          sums + row * vectors * lanes_of<D>);
    }
  } else {
    for (Index key = 0; key < key_tile<E>; key += value_rows) {
      multiply_values<E, vectors, order>(d, weights + key, values,
                                         operands_of<E>(seeing(rows, key, value_rows, first)),
                                         ahead.after(key / value_rows * operands<E>(query_tile)),
                                         sums + key * vectors * lanes_of<D>);
    }
  }
}

/// Adds weights times values for the pairs of a tile of queries and the tile of keys that starts at
/// `first`. By query: sums(r, c) += Sum_j weights(r, j) values(j, c), with sums as (chunks of
/// columns, query_tile, chunk) and `values` of that tile as pack_values leaves it. By key:
/// sums(j, c) += Sum_r weights(r, j) values(r, c), with the lengths of the tiles exchanged.
template <class E, Weights order, class D, class T = hn::TFromD<D>>
HWY_INLINE void add_products(D d, const VisibleRows& rows, const Operand<E>* weights,
                             const Operand<E>* values, Index value_dim, Index first, Ahead ahead,
                             T* sums) {
  constexpr Index lanes = lanes_of<D>;
  constexpr Index inner = order == Weights::by_query ? key_tile<E> : query_tile;
  constexpr Index outer = order == Weights::by_query ? query_tile : key_tile<E>;
  for (Index column = 0; column < value_dim;) {
    const Index width = chunk_columns<T>(column, value_dim);
    switch (width / lanes) {
      case 1:
        add_chunk<E, 1, order>(d, rows, weights, values, first, ahead, sums);
        break;
      case 2:
        add_chunk<E, 2, order>(d, rows, weights, values, first, ahead, sums);
        break;
      case 3:
        add_chunk<E, 3, order>(d, rows, weights, values, first, ahead, sums);
        break;
      default:
        add_chunk<E, value_vectors, order>(d, rows, weights, values, first, ahead, sums);
        break;
    }
    values += operands<E>(inner) * width;
    sums += outer * width;
    ahead = ahead.after(outer / value_rows * operands<E>(inner));
    column += width;
  }
}

/// Visits sums over tiles of `tile` rows where they lie, (chunks of columns, tile, chunk): calls
/// visit(d, row, column, numbers) for vectors of the first `rows` rows, and with a tag of one lane
/// for what is left of a row.
template <class D, class T, class Visit>
HWY_INLINE void for_each_vector(D d, const T* HWY_RESTRICT sums, Index rows, Index dim, Index tile,
                                Visit visit) {
  const hn::CappedTag<hn::TFromD<D>, 1> one;
  for (Index column = 0; column < dim;) {
    const Index width = chunk_columns<T>(column, dim);
    const Index present = HWY_MIN(width, dim - column);
    for (Index r = 0; r < rows; ++r) {
      const T* from = sums + r * width;
      Index c = 0;
      for (; c + lanes_of<D> <= present; c += lanes_of<D>) visit(d, r, column + c, from + c);
      for (; c < present; ++c) visit(one, r, column + c, from + c);
    }
    sums += tile * width;
    column += width;
  }
}

template <class D>
HWY_INLINE hn::Vec<D> load_in_fp64(D d, const double* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load_in_fp64(D d, const float* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), from));
}

/// Adds sums over tiles to rows (rows, dim) in fp64, `stride` apart.
template <class T>
void add_sums(const T* HWY_RESTRICT sums, Index rows, Index dim, Index tile,
              double* HWY_RESTRICT to, Index stride) {
  for_each_vector(hn::ScalableTag<double>(), sums, rows, dim, tile,
                  [&](auto d, Index r, Index column, const T* from) HWY_ATTR {
                    double* at = to + r * stride + column;
                    hn::StoreU(hn::Add(hn::LoadU(d, at), load_in_fp64(d, from)), d, at);
                  });
}

/// Values (rows, dim) of a state: left(r) of what they are, and right(r) of the sums over a tile of
/// queries. Where left(r) is 0 what they are is not read.
template <class T>
void merge_values(const T* HWY_RESTRICT sums, const double* left, const double* right, Index rows,
                  Index dim, double* HWY_RESTRICT values) {
  for_each_vector(hn::ScalableTag<double>(), sums, rows, dim, query_tile,
                  [&](auto d, Index r, Index column, const T* from) HWY_ATTR {
                    double* at = values + r * dim + column;
                    const auto factor = hn::Set(d, right[r]);
                    auto sum = hn::Mul(factor, load_in_fp64(d, from));
                    if (left[r] != 0) sum = hn::MulAdd(hn::Set(d, left[r]), hn::LoadU(d, at), sum);
                    hn::StoreU(sum, d, at);
                  });
}

/// to[c] = factor sums[c], rounded once.
template <class T>
void scale_sums(const double* HWY_RESTRICT sums, Index count, double factor, T* HWY_RESTRICT to) {
  const hn::ScalableTag<double> d;
  const auto scale = hn::Set(d, factor);
  Index c = 0;
  for (; c + lanes_of<decltype(d)> <= count; c += lanes_of<decltype(d)>) {
    const auto scaled = hn::Mul(scale, hn::LoadU(d, sums + c));
    if constexpr (sizeof(T) < sizeof(double)) {
      const hn::Rebind<T, decltype(d)> narrow;
      hn::StoreU(hn::DemoteTo(narrow, scaled), narrow, to + c);
    } else {
      hn::StoreU(scaled, d, to + c);
    }
  }
  for (; c < count; ++c) to[c] = static_cast<T>(factor * sums[c]);
}

/// high + low += more for a vector of sums, where low stays what rounding takes from high (Knuth's
/// two-sum, which does not ask which is larger).
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void add_to_pair(D d, hn::Vec<D> more, T* HWY_RESTRICT high, T* HWY_RESTRICT low) {
  const auto before = hn::LoadU(d, high);
  const auto added = hn::Add(hn::LoadU(d, low), more);
  const auto sum = hn::Add(before, added);
  const auto of_added = hn::Sub(sum, before);
  const auto of_before = hn::Sub(sum, of_added);
  hn::StoreU(sum, d, high);
  hn::StoreU(hn::Add(hn::Sub(before, of_before), hn::Sub(added, of_added)), d, low);
}

/// Adds sums over tiles to long sums.
template <class T>
void add_sums(const T* HWY_RESTRICT sums, Index rows, Index dim, Index tile,
              const LongSums<T>& to) {
  for_each_vector(hn::ScalableTag<T>(), sums, rows, dim, tile,
                  [&](auto d, Index r, Index column, const T* from) HWY_ATTR {
                    add_to_pair(d, hn::LoadU(d, from), to.high + r * to.high_stride + column,
                                to.low + r * to.low_stride + column);
                  });
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
