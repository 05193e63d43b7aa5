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
/// side, (columns, operands of tiled_queries), and sums lie as (columns, key_tile) until they are
/// done. So many queries are two tiles, of which the first waits for the other; the pairs that they
/// do not fill are zeros.
template <class Registers>
class TileGradients {
 public:
  using D = hn::ScalableTag<float>;

  explicit TileGradients(const GradientPanel<BFloat16>& panel)
      : panel_(panel), multiplier_(operands<BFloat16>(panel.dim)) {}

  static void pack(const GradientRows<BFloat16>& rows, Index dim, Index value_dim,
                   const GradientQueries<BFloat16>& queries) {
    copy_rows(rows.q, rows.q_stride, queries.count, dim, queries.q);
    copy_rows(rows.dout, rows.dout_stride, queries.count, value_dim, queries.dout);
    for (Index r = 0; r < queries.count; ++r) queries.scale[r] = static_cast<float>(rows.scale[r]);
    for (Index row = 0; row < queries.count; row += tiled_queries) {
      const Index count = HWY_MIN(tiled_queries, queries.count - row);
      pack_turned(rows.q + row * rows.q_stride, rows.q_stride, count, dim,
                  factors_of(queries.q_factors, row, dim));
      pack_turned(rows.dout + row * rows.dout_stride, rows.dout_stride, count, value_dim,
                  factors_of(queries.dout_factors, row, value_dim));
    }
  }

  void score(D /*d*/, const TilePair& pair) {
    // p and dz of this tile take the place of those that do not wait for it.
    if (group_of(pair) != waiting_.row || pairs_from(pair) != waiting_.pairs.end) add_by_key();
    const auto& scratch = panel_.scratch;
    const auto multiply = [&](Index dim, const BFloat16Pair* rows, const BFloat16Pair* keys,
                              float* products) {
      const Index length = operands<BFloat16>(dim);
      multiplier_.set_length(length);
      multiplier_.score(pair.rows, rows + pair.row * length, keys, pair.first, products);
    };
    multiply(panel_.dim, panel_.queries.q, panel_.keys.columns, scratch.logits);
    multiply(panel_.value_dim, panel_.queries.dout, panel_.keys.value_columns, scratch.products);
  }

  [[nodiscard]] RowScales<float> unscaled(const TilePair& pair) const {
    return {panel_.queries.scale + pair.row};
  }

  [[nodiscard]] Index pairs_from(const TilePair& pair) const {
    return operands<BFloat16>(pair.row % tiled_queries);
  }

  void add(D /*d*/, const TilePair& pair, Index keys, Index /*next*/) {
    const Index begin = pairs_from(pair);
    const Index end = begin + operands<BFloat16>(pair.rows.count);
    if (waiting_.keys == 0) {
      waiting_ = {group_of(pair), keys, {begin, end}};
    } else {
      // What rows see never ends before what those above them see.
      clear(waiting_.pairs, {waiting_.keys, keys});
      waiting_.keys = keys;
      waiting_.pairs.end = end;
    }
    const Index dim = padded<float>(panel_.dim);
    multiplier_.add(pair.rows, panel_.scratch.dz_by_query,
                    panel_.keys.factors + operands<BFloat16>(pair.first) * dim, panel_.dim,
                    pair.first, panel_.scratch.dq + pair.row * dim);
  }

  void finish_keys(Index first, Index count) {
    add_by_key();
    move_sums(panel_.scratch.dk, count, panel_.dim, panel_.dk.from(first));
    move_sums(panel_.scratch.dv, count, panel_.value_dim, panel_.dv.from(first));
  }

 private:
  static constexpr Index keys_ = key_tile<BFloat16>;
  static constexpr Index pairs_ = operands<BFloat16>(tiled_queries);

  /// p and dz that are yet to be added by key: of `pairs` of the tiled_queries from `row` on.
  struct Waiting {
    Index row = 0;
    Index keys = 0;  ///< that have them; 0: nothing waits
    Interval pairs{};
  };

  /// The first of the tiled_queries that these are among.
  static Index group_of(const TilePair& pair) { return pair.row / tiled_queries * tiled_queries; }

  /// Those of the queries that start at `row`, a multiple of tiled_queries.
  template <class Pairs>
  static Pairs* factors_of(Pairs* factors, Index row, Index dim) {
    return factors + operands<BFloat16>(row) * padded<float>(dim);
  }

  /// Rows as (columns, operands of tiled_queries).
  static void pack_turned(const BFloat16* rows, Index stride, Index count, Index dim,
                          BFloat16Pair* turned) {
    const Index pairs = operands<BFloat16>(count);
    BFloat16Pair factors[pairs_ * tile_size];
    for (Index column = 0; column < dim; column += tile_size) {
      for (Index j = 0; j < pairs; ++j) {
        pack_factor_row(rows + 2 * j * stride + column, stride, count - 2 * j,
                        HWY_MIN(tile_size, dim - column), tile_size, factors + j * tile_size);
      }
      transpose(reinterpret_cast<const char*>(factors), tile_size * Index{sizeof(BFloat16Pair)},
                pairs, tile_size, pairs_, turned + column * pairs_);
    }
  }

  /// p and dz of `pairs` of queries and these keys become zeros.
  void clear(Interval pairs, Interval keys) const {
    for (Index j = pairs.begin; j < pairs.end; ++j) {
      for (auto* weights : {panel_.scratch.p, panel_.scratch.dz_by_key}) {
        std::fill_n(weights + j * keys_ + keys.begin, keys.size(), BFloat16Pair());
      }
    }
  }

  /// Adds what waits.
  void add_by_key() {
    if (waiting_.keys == 0) return;
    // What other queries have left in the registers' rows.
    const Interval whole{floor_div(waiting_.pairs.begin, tile_size) * tile_size,
                         ceil_div(waiting_.pairs.end, tile_size) * tile_size};
    clear({whole.begin, waiting_.pairs.begin}, {0, waiting_.keys});
    clear({waiting_.pairs.end, whole.end}, {0, waiting_.keys});
    const auto& scratch = panel_.scratch;
    const auto& queries = panel_.queries;
    const auto add = [&](const BFloat16Pair* factors, const BFloat16Pair* weights, Index dim,
                         float* sums) {
      add_by_key(factors_of(factors, waiting_.row, dim), weights, whole, dim, waiting_.keys, sums);
    };
    add(queries.dout_factors, scratch.p, panel_.value_dim, scratch.dv);
    add(queries.q_factors, scratch.dz_by_key, panel_.dim, scratch.dk);
    waiting_.keys = 0;
  }

  /// sums(c, j) += Sum_i left(c, i) right(i, j) over `pairs` i for the columns of `dim` and the
  /// first `keys` keys, a multiple of two tiles.
  void add_by_key(const BFloat16Pair* left, const BFloat16Pair* right, Interval pairs, Index dim,
                  Index keys, float* sums) {
    // Weights of some keys stay in the first-level cache.
    const auto add = [&]<int tiles>(Index key) {
      for (Index c = 0; c < dim; c += tile_size) {
        multiplier_.template add_tiles<tiles>(left + c * pairs_, pairs_, right + key, keys_, pairs,
                                              sums + c * keys_ + key, keys_);
      }
    };
    Index key = 0;
    for (; key + 4 * tile_size <= keys; key += 4 * tile_size) add.template operator()<4>(key);
    if (key < keys) add.template operator()<2>(key);
  }

  /// Adds sums, (columns, key_tile), to those of the first `count` keys.
  static void move_sums(const float* sums, Index count, Index dim, const LongSums<float>& to) {
    constexpr Index square = lanes_of<hn::Full128<float>>;
    alignas(64) float turned[tile_size * value_vectors * tile_size];  // (tile_size keys, a chunk)
    for (Index key = 0; key < count; key += tile_size) {
      const float* from = sums + key;
      for (Index column = 0; column < dim;) {
        const Index width = chunk_columns<float>(column, dim);
        for (Index c = 0; c < width; c += square) {
          for (Index j = 0; j < tile_size; j += square) {
            transpose_square(hn::Full128<float>(),
                             reinterpret_cast<const char*>(from + c * keys_ + j),
                             keys_ * Index{sizeof(float)}, turned + j * width + c, width);
          }
        }
        const auto rows = to.from(key);
        add_sums(turned, HWY_MIN(tile_size, count - key), HWY_MIN(width, dim - column), tile_size,
                 LongSums<float>{rows.high + column, rows.high_stride, rows.low + column,
                                 rows.low_stride});
        from += width * keys_;
        column += width;
      }
    }
  }

  const GradientPanel<BFloat16>& panel_;
  TileMultiplier<Registers> multiplier_;
  Waiting waiting_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
