// The products of a backward pass in bf16 by tile registers.

#if defined(ANNULUS_KERNELS_CPU_TILE_GRADIENTS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_TILE_GRADIENTS_INL
#undef ANNULUS_KERNELS_CPU_TILE_GRADIENTS_INL
#else
#define ANNULUS_KERNELS_CPU_TILE_GRADIENTS_INL
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/backward-inl.hpp"
#include "kernels/cpu/tile_multiplier-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if ANNULUS_TARGET_HAS_BF16_DOT

/// As VectorGradients. Sums over queries are made by columns: p and dz lie in pairs of queries
/// beside those of the next key, which is the right side of a product, so dout and q are its left
/// side, (columns, tiled_query_operands), and sums lie as (columns, key_tile) until they are done.
/// The pairs that a tile of queries does not fill are zeros.
template <class Registers>
class TileGradients {
 public:
  using D = hn::ScalableTag<float>;

  explicit TileGradients(const GradientPanel<BFloat16>& panel) : panel_(panel) {}

  static void pack(const GradientRows<BFloat16>& rows, Index dim, Index value_dim,
                   const GradientQueries<BFloat16>& queries) {
    copy_rows(rows.q, rows.q_stride, queries.count, dim, queries.q);
    copy_rows(rows.dout, rows.dout_stride, queries.count, value_dim, queries.dout);
    for (Index r = 0; r < queries.count; ++r) queries.scale[r] = static_cast<float>(rows.scale[r]);
    for (Index row = 0; row < queries.count; row += query_tile) {
      const Index count = HWY_MIN(query_tile, queries.count - row);
      pack_turned(rows.q + row * rows.q_stride, rows.q_stride, count, dim,
                  factors_of(queries.q_factors, row, dim));
      pack_turned(rows.dout + row * rows.dout_stride, rows.dout_stride, count, value_dim,
                  factors_of(queries.dout_factors, row, value_dim));
    }
  }

  void score(D d, const TilePair& pair) {
    const auto& scratch = panel_.scratch;
    const auto multiply = [&](Index dim, const BFloat16Pair* rows, const BFloat16Pair* keys,
                              float* products) {
      const Index length = operands<BFloat16>(dim);
      TileMultiplier<Registers>(length).score(pair.rows, rows + pair.row * length, keys, pair.first,
                                              products);
    };
    multiply(panel_.dim, panel_.queries.q, panel_.keys.columns, scratch.logits);
    multiply(panel_.value_dim, panel_.queries.dout, panel_.keys.value_columns, scratch.products);
    scale_scores(d, pair.rows.count, panel_.queries.scale + pair.row, scratch.logits);
  }

  void add(D d, const TilePair& pair, Index keys, Index /*next*/) {
    const auto& scratch = panel_.scratch;
    const Index dim = padded<float>(panel_.dim);
    // What queries of another tile have left.
    for (Index j = operands<BFloat16>(pair.rows.count); j < operands<BFloat16>(query_tile); ++j) {
      std::fill_n(scratch.p + j * keys_, keys, BFloat16Pair());
      std::fill_n(scratch.dz_by_key + j * keys_, keys, BFloat16Pair());
    }
    TileMultiplier<Registers> multiplier(0);
    add_by_key(d, multiplier, factors_of(panel_.queries.dout_factors, pair.row, panel_.value_dim),
               scratch.p, panel_.value_dim, keys, scratch.dv);
    add_by_key(d, multiplier, factors_of(panel_.queries.q_factors, pair.row, panel_.dim),
               scratch.dz_by_key, panel_.dim, keys, scratch.dk);
    multiplier.add(d, pair.rows, scratch.dz_by_query,
                   panel_.keys.factors + operands<BFloat16>(pair.first) * dim, panel_.dim,
                   pair.first, scratch.dq + pair.row * dim);
  }

  void finish_keys(Index first, Index count) {
    move_sums(panel_.scratch.dk, count, panel_.dim, panel_.dk.from(first));
    move_sums(panel_.scratch.dv, count, panel_.value_dim, panel_.dv.from(first));
  }

 private:
  static constexpr Index keys_ = key_tile<BFloat16>;
  static constexpr Index pairs_ = tiled_query_operands;

  /// Those of the tile of queries that starts at `row`.
  static BFloat16Pair* factors_of(BFloat16Pair* factors, Index row, Index dim) {
    return factors + row / query_tile * pairs_ * padded<float>(dim);
  }

  /// Rows as (columns, tiled_query_operands).
  static void pack_turned(const BFloat16* rows, Index stride, Index count, Index dim,
                          BFloat16Pair* turned) {
    const Index pairs = operands<BFloat16>(count);
    BFloat16Pair factors[operands<BFloat16>(query_tile) * tile_size];
    for (Index column = 0; column < dim; column += tile_size) {
      for (Index j = 0; j < pairs; ++j) {
        pack_factor_row(rows + 2 * j * stride + column, stride, count - 2 * j,
                        HWY_MIN(tile_size, dim - column), tile_size, factors + j * tile_size);
      }
      transpose(reinterpret_cast<const char*>(factors), tile_size * Index{sizeof(BFloat16Pair)},
                pairs, tile_size, pairs_, turned + column * pairs_);
    }
  }

  /// sums(c, j) += Sum_i left(c, i) right(i, j) for the columns of `dim` and the first `keys` keys,
  /// a multiple of two tiles.
  static void add_by_key(D d, TileMultiplier<Registers>& multiplier, const BFloat16Pair* left,
                         const BFloat16Pair* right, Index dim, Index keys, float* sums) {
    for (Index c = 0; c < dim; c += tile_size) {
      const auto add = [&]<int tiles>(Index key) {
        multiplier.template add_tiles<tiles>(d, left + c * pairs_, pairs_, right + key, keys_,
                                             {0, pairs_}, sums + c * keys_ + key, keys_);
      };
      Index key = 0;
      for (; key + 4 * tile_size <= keys; key += 4 * tile_size) add.template operator()<4>(key);
      if (key < keys) add.template operator()<2>(key);
    }
  }

  /// Adds sums, (columns, key_tile), to those of the first `count` keys.
  void move_sums(const float* sums, Index count, Index dim, const LongSums<float>& to) const {
    float* turned = panel_.scratch.logits;  // whose numbers are written again before they count
    for (Index c = 0; c < dim; c += tile_size) {
      transpose(reinterpret_cast<const char*>(sums + c * keys_), keys_ * Index{sizeof(float)},
                tile_size, keys_, tile_size, turned);
      add_sums(turned, count, HWY_MIN(tile_size, dim - c), keys_,
               LongSums<float>{to.high + c, to.high_stride, to.low + c, to.low_stride});
    }
  }

  const GradientPanel<BFloat16>& panel_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
