// Gradients of a panel of queries and keys.

#if defined(ANNULUS_KERNELS_CPU_BACKWARD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_BACKWARD_INL
#undef ANNULUS_KERNELS_CPU_BACKWARD_INL
#else
#define ANNULUS_KERNELS_CPU_BACKWARD_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/cpu/exp-inl.hpp"
#include "kernels/cpu/gradient_panel.hpp"
#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/softmax-inl.hpp"
#include "kernels/cpu/sums-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// What becomes of a vector of logits and products <dout, v> of one row.
template <class D>
struct Differential {
  hn::Vec<D> p;   ///< e^((z - lse) - lse_low)
  hn::Vec<D> dz;  ///< p (<dout, v> - mean)
};

/// What all of a row have in common, repeated in the lanes of a vector.
template <class D>
struct RowFactors {
  hn::Vec<D> lse;
  hn::Vec<D> lse_low;
  hn::Vec<D> mean;
};

template <class E, class D>
HWY_INLINE RowFactors<D> row_factors(D d, const GradientPanel<E>& panel, Index row) {
  return {hn::Set(d, panel.lse[row]), hn::Set(d, panel.lse_low[row]), hn::Set(d, panel.mean[row])};
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE Differential<D> differentiate(D d, const RowFactors<D>& row, V logits, V products) {
  // The first difference is exact where logits are large beside it.
  const auto beyond_lse = hn::Sub(logits, row.lse);
  const auto p = exp_or_zero(d, hn::Sub(beyond_lse, row.lse_low));
  return {p, hn::Mul(p, hn::Sub(products, row.mean))};
}

/// Row r of the tile that is `row` rows into the panel: logits of the first `keys` become p, and
/// products dz.
template <class T, class Scale>
HWY_INLINE void differentiate_rows(const GradientPanel<T>& panel, Index row, Index r, Index, Index,
                                   Index keys, Scale left) {
  const hn::ScalableTag<T> d;
  T* logits = panel.scratch.logits + r * key_tile<T>;
  T* products = panel.scratch.products + r * key_tile<T>;
  const auto factors = row_factors(d, panel, row + r);
  for (Index j = 0; j < keys; j += vector_lanes<T>) {
    const auto z = scaled(d, hn::Load(d, logits + j), left, r);
    const auto [p, dz] = differentiate(d, factors, z, hn::Load(d, products + j));
    hn::Store(p, d, logits + j);
    hn::Store(dz, d, products + j);
  }
}

#if ANNULUS_TARGET_HAS_BF16_DOT
/// Rows r and r + 1, of which the last of an odd number does without the other, as pair `pairs` +
/// r / 2 of those by key.
template <class Scale>
HWY_INLINE void differentiate_rows(const GradientPanel<BFloat16>& panel, Index row, Index r,
                                   Index count, Index pairs, Index keys, Scale left) {
  const hn::ScalableTag<float> d;
  constexpr Index lanes = vector_lanes<float>;
  constexpr Index tile = key_tile<BFloat16>;
  const auto& scratch = panel.scratch;
  const int present = r + 1 < count ? 2 : 1;
  for (Index j = 0; j < keys; j += 2 * lanes) {
    hn::Vec<decltype(d)> p[2][2];
    hn::Vec<decltype(d)> dz[2][2];
    for (int x = 0; x < 2; ++x) {
      p[1][x] = hn::Zero(d);
      dz[1][x] = hn::Zero(d);
    }
    for (int i = 0; i < present; ++i) {
      const auto factors = row_factors(d, panel, row + r + i);
      for (int x = 0; x < 2; ++x) {
        const Index at = (r + i) * tile + j + x * lanes;
        const auto logits = scaled(d, hn::Load(d, scratch.logits + at), left, r + i);
        const auto both = differentiate(d, factors, logits, hn::Load(d, scratch.products + at));
        p[i][x] = both.p;
        dz[i][x] = both.dz;
      }
      store_operands(d, dz[i][0], dz[i][1], scratch.dz_by_query + ((r + i) * tile + j) / 2);
      const auto scale = hn::Set(d, panel.queries.scale[row + r + i]);
      for (int x = 0; x < 2; ++x) dz[i][x] = hn::Mul(dz[i][x], scale);
    }
    for (int x = 0; x < 2; ++x) {
      const Index at = (pairs + r / 2) * tile + j + x * lanes;
      store_pairs(d, p[0][x], p[1][x], scratch.p + at);
      store_pairs(d, dz[0][x], dz[1][x], scratch.dz_by_key + at);
    }
  }
}
#endif

/// What a pair of tiles, queries from `row` and keys from `first` on, counted in the panel, has.
struct TilePair {
  Index row;
  Index first;
  VisibleRows rows;
};

/// Packs `count` queries of the tile that starts at `row`, times their scales, rounded once, as
/// they enter both products.
template <class T>
void pack_queries(const GradientRows<T>& rows, Index row, Index count, Index dim,
                  const GradientQueries<T>& queries) {
  for (Index r = 0; r < count; ++r) {
    const double scale = rows.scale[row + r];
    const T* HWY_RESTRICT from = rows.q + (row + r) * rows.q_stride;
    T* HWY_RESTRICT to = queries.scaled + r * dim;
    for (Index c = 0; c < dim; ++c) to[c] = static_cast<T>(scale * static_cast<double>(from[c]));
  }
  pack_rows(queries.scaled, dim, count, dim, queries.q + row * dim);
  pack_factors(queries.scaled, dim, count, dim, query_tile,
               queries.q_factors + row * padded<T>(dim));
}

/// bf16 as it is: logits are scaled.
HWY_INLINE void pack_queries(const GradientRows<BFloat16>& rows, Index row, Index count, Index dim,
                             const GradientQueries<BFloat16>& queries) {
  const BFloat16* q = rows.q + row * rows.q_stride;
  for (Index r = row; r < row + count; ++r) queries.scale[r] = static_cast<float>(rows.scale[r]);
  pack_rows(q, rows.q_stride, count, dim, queries.q + row * operands<BFloat16>(dim));
  pack_factors(q, rows.q_stride, count, dim, query_tile,
               queries.q_factors + operands<BFloat16>(row) * padded<float>(dim));
}

/// What logits of packed queries are yet to be multiplied with.
template <class T>
Unscaled scale_of(const GradientQueries<T>& /*queries*/) {
  return {};
}
HWY_INLINE RowScales<float> scale_of(const GradientQueries<BFloat16>& queries) {
  return {queries.scale};
}

/// The five products of a panel by vectors.
template <class E>
class VectorGradients {
 public:
  using T = Accumulator<E>;
  using D = hn::ScalableTag<T>;

  explicit VectorGradients(const GradientPanel<E>& panel)
      : panel_(panel), scale_(scale_of(panel.queries)) {}

  static void pack(const GradientRows<E>& rows, Index dim, Index value_dim,
                   const GradientQueries<E>& queries) {
    for (Index row = 0; row < queries.count; row += query_tile) {
      const Index count = HWY_MIN(query_tile, queries.count - row);
      pack_queries(rows, row, count, dim, queries);
      const E* dout = rows.dout + row * rows.dout_stride;
      pack_rows(dout, rows.dout_stride, count, value_dim,
                queries.dout + row * operands<E>(value_dim));
      pack_factors(dout, rows.dout_stride, count, value_dim, query_tile,
                   queries.dout_factors + operands<E>(row) * padded<T>(value_dim));
    }
  }

  /// Logits and products <dout, v>, in the register tiles that hold visible pairs.
  HWY_INLINE void score(D d, const TilePair& pair) {
    const auto& scratch = panel_.scratch;
    const Operand<E>* dout = panel_.queries.dout + pair.row * operands<E>(panel_.value_dim);
    score_tile<E>(d, pair.rows, queries_from(pair.row), panel_.keys.columns, panel_.dim, pair.first,
                  scale_.from(pair.row), Ahead(dout), scratch.logits);
    score_tile<E>(d, pair.rows, dout, panel_.keys.value_columns, panel_.value_dim, pair.first,
                  Unscaled{}, Ahead(dout_factors_from(pair.row)), scratch.products);
  }

  /// What logits are yet to be multiplied with.
  [[nodiscard]] Unscaled unscaled(const TilePair& /*pair*/) const { return {}; }

  /// The first of the pairs of queries by key that p and dz of these are.
  [[nodiscard]] Index pairs_from(const TilePair& /*pair*/) const { return 0; }

  /// Adds the products of p and dz, which the first keys of the tile have. The tile of queries that
  /// starts at `next` comes next.
  HWY_INLINE void add(D d, const TilePair& pair, Index /*keys*/, Index next) {
    const auto& scratch = panel_.scratch;
    const Index dim = padded<T>(panel_.dim);
    const Operand<E>* q_factors = panel_.queries.q_factors + operands<E>(pair.row) * dim;
    T* dq = scratch.dq + pair.row * dim;
    add_products<E, Weights::by_key>(d, pair.rows, scratch.p, dout_factors_from(pair.row),
                                     panel_.value_dim, pair.first, Ahead(q_factors), scratch.dv);
    add_products<E, Weights::by_key>(d, pair.rows, scratch.dz_by_key, q_factors, panel_.dim,
                                     pair.first, Ahead(dq), scratch.dk);
    add_products<E, Weights::by_query>(d, pair.rows, scratch.dz_by_query,
                                       panel_.keys.factors + operands<E>(pair.first) * dim,
                                       panel_.dim, pair.first, Ahead(queries_from(next)), dq);
  }

  /// Moves the sums of `count` keys to their gradients.
  HWY_INLINE void finish_keys(Index first, Index count) {
    const auto& scratch = panel_.scratch;
    add_sums(scratch.dk, count, panel_.dim, key_tile<E>, panel_.dk.from(first));
    add_sums(scratch.dv, count, panel_.value_dim, key_tile<E>, panel_.dv.from(first));
  }

 private:
  [[nodiscard]] const Operand<E>* queries_from(Index row) const {
    return panel_.queries.q + row * operands<E>(panel_.dim);
  }
  [[nodiscard]] const Operand<E>* dout_factors_from(Index row) const {
    return panel_.queries.dout_factors + operands<E>(row) * padded<T>(panel_.value_dim);
  }

  const GradientPanel<E>& panel_;
  decltype(scale_of(std::declval<const GradientQueries<E>&>())) scale_;
};

/// Makes p and dz of the logits and products of a pair of tiles, up to the last key that a query
/// sees; returns how many keys have them.
template <class E, class Products>
Index differentiate_tile(const GradientPanel<E>& panel, const TilePair& pair,
                         const Products& products) {
  const hn::ScalableTag<Accumulator<E>> d;
  const auto& rows = pair.rows;
  const auto scale = products.unscaled(pair);
  const auto differentiate_keys = [&](Index keys, auto left) HWY_ATTR {
    for (Index r = 0; r < rows.count; r += operand_size<E>) {
      differentiate_rows(panel, pair.row, r, rows.count, products.pairs_from(pair), keys, left);
    }
    return keys;
  };
  if (all_seen<key_tile<E>>(rows, pair.first)) return differentiate_keys(key_tile<E>, scale);
  constexpr auto hidden = -std::numeric_limits<Accumulator<E>>::infinity();
  // Products by key take so many keys together.
  const Index groups = ceil_div(rows.visible[rows.count - 1].end - pair.first, Index{value_rows});
  const Index keys = weighed_keys<key_tile<E>>(d, groups * value_rows);
  for (Index r = 0; r < rows.count; ++r) {
    const auto seen = seen_by<key_tile<E>>(rows, r, 1, pair.first);
    mask_row(d, seen, keys, panel.scratch.logits + r * key_tile<E>, hidden, scale.from(r));
    // What was not multiplied is left of other tiles, and p = 0 times that must be 0.
    mask_row(d, seen, keys, panel.scratch.products + r * key_tile<E>, Accumulator<E>{0});
  }
  return differentiate_keys(keys, Unscaled{});
}

/// Whether some row of the tile sees a key of [first, first + key_tile).
template <class E>
bool meets(const GradientPanel<E>& panel, Index row, Index first) {
  const Index last = HWY_MIN(row + query_tile, panel.rows.count) - 1;
  return panel.rows.visible[last].end > first &&
         panel.rows.visible[row].begin < first + key_tile<E>;
}

template <class E, class Products = VectorGradients<E>>
void accumulate_gradients(const GradientPanel<E>& panel) {
  using T = Accumulator<E>;
  const hn::ScalableTag<T> d;
  const Index dim = padded<T>(panel.dim);
  Products products(panel);
  std::fill_n(panel.scratch.dq, ceil_div(panel.rows.count, query_tile) * query_tile * dim, T{0});
  for (Index first = 0; first < panel.keys.count; first += key_tile<E>) {
    std::fill_n(panel.scratch.dk, key_tile<E> * dim, T{0});
    std::fill_n(panel.scratch.dv, key_tile<E> * padded<T>(panel.value_dim), T{0});
    for (Index row = 0; row < panel.rows.count; row += query_tile) {
      if (!meets(panel, row, first)) continue;
      const Index count = HWY_MIN(query_tile, panel.rows.count - row);
      const TilePair pair{row, first, {count, panel.rows.visible + row}};
      products.score(d, pair);
      const Index next = row + query_tile < panel.rows.count ? row + query_tile : 0;
      products.add(d, pair, differentiate_tile(panel, pair, products), next);
    }
    products.finish_keys(first, HWY_MIN(key_tile<E>, panel.keys.count - first));
  }
  for (Index row = 0; row < panel.rows.count; row += query_tile) {
    add_sums(panel.scratch.dq + row * dim, HWY_MIN(query_tile, panel.rows.count - row), panel.dim,
             query_tile, panel.dq + row * panel.dim, panel.dim);
  }
}

template <class E, class Products = VectorGradients<E>>
void pack_gradient_queries(const GradientRows<E>& rows, Index dim, Index value_dim,
                           const GradientQueries<E>& queries) {
  Products::pack(rows, dim, value_dim, queries);
}

template <class E>
void pack_gradient_keys(const E* k, Index stride, const E* v, Index value_stride, Index dim,
                        Index value_dim, const GradientKeys<E>& keys) {
  using T = Accumulator<E>;
  for (Index first = 0; first < keys.count; first += key_tile<E>) {
    const Index count = HWY_MIN(key_tile<E>, keys.count - first);
    pack_keys(k + first * stride, stride, count, dim, keys.columns + first * operands<E>(dim));
    pack_keys(v + first * value_stride, value_stride, count, value_dim,
              keys.value_columns + first * operands<E>(value_dim));
    pack_values(k + first * stride, stride, count, dim,
                keys.factors + operands<E>(first) * padded<T>(dim));
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
