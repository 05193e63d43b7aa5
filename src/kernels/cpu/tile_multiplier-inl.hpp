// Products of bf16 by tile registers: rows by rows, and weights by rows, over the pairs of a tile
// of queries and a tile of keys.

#if defined(ANNULUS_KERNELS_CPU_TILE_MULTIPLIER_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_TILE_MULTIPLIER_INL
#undef ANNULUS_KERNELS_CPU_TILE_MULTIPLIER_INL
#else
#define ANNULUS_KERNELS_CPU_TILE_MULTIPLIER_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <utility>

#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/sums-inl.hpp"
#include "kernels/cpu/tile.hpp"
#include "kernels/cpu/tile_registers.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if ANNULUS_TARGET_HAS_BF16_DOT

/// Copies rows as the left side of a product of tiles is read: (rows, operands of dim), of which
/// the last is filled up with a zero. Rows of zeros follow up to a multiple of tile_size.
inline void copy_rows(const BFloat16* rows, Index stride, Index count, Index dim,
                      BFloat16Pair* copies) {
  const Index length = operands<BFloat16>(dim);
  for (Index r = 0; r < count; ++r) {
    auto* to = reinterpret_cast<BFloat16*>(copies + r * length);
    std::copy_n(rows + r * stride, dim, to);
    std::fill(to + dim, to + length * operand_size<BFloat16>, BFloat16());
  }
  const Index rest = ceil_div(count, tile_size) * tile_size - count;
  std::fill_n(copies + count * length, rest * length, BFloat16Pair());
}

/// scores(r, j) *= scale[r].
template <class D>
void scale_scores(D d, Index rows, const float* scale, float* scores) {
  for (Index r = 0; r < rows; ++r) {
    const auto factor = hn::Set(d, scale[r]);
    float* row = scores + r * key_tile<BFloat16>;
    for (Index j = 0; j < key_tile<BFloat16>; j += lanes_of<D>) {
      hn::Store(hn::Mul(hn::Load(d, row + j), factor), d, row + j);
    }
  }
}

/// With `Registers` as those of AMX, for as long as it lives. What vectors of pairs read lies as
/// the right side of a product of tiles does: a pair of a key's numbers, or of two keys' values,
/// beside those of the next key or column. The left side lies in rows: weights do.
template <class Registers>
class TileMultiplier {
 public:
  using D = hn::ScalableTag<float>;

  /// `length`: operands of a row that is multiplied with keys.
  explicit TileMultiplier(Index length)
      : length_(length), registers_(tile_shapes(length % tile_size)) {}

  /// See score_tile; `left` as copy_rows leaves it, and nothing is scaled.
  void score(const VisibleRows& rows, const BFloat16Pair* left, const BFloat16Pair* packed_keys,
             Index first, float* scores) {
    for (Index j = 0; j < keys; j += score_keys<D>) {
      for (Index row = 0; row < rows.count; row += tile_size) {
        const auto seen = seen_by<keys>(rows, row, tile_size, first);
        if (seen.begin >= j + score_keys<D> || seen.end <= j) continue;
        multiply_scores(left + row * length_, packed_keys + (first + j) * length_,
                        scores + row * keys + j);
      }
    }
  }

  /// See add_products, by query. Weights are read up to a multiple of two vectors of keys.
  void add(D d, const VisibleRows& rows, const BFloat16Pair* weights, const BFloat16Pair* values,
           Index value_dim, Index first, float* sums) {
    for (Index column = 0; column < value_dim;) {
      const Index width = chunk_columns<float>(column, value_dim);
      switch (width / tile_size) {
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
          add_chunk<4>(d, rows, weights, values, first, sums);
          break;
      }
      values += operands<BFloat16>(keys) * width;
      sums += query_tile * width;
      column += width;
    }
  }

  /// sums(r, c) += Sum_j left(r, j) right(j, c) for tile_size rows, `tiles` tiles of columns and
  /// the pairs of an interval, which begins at a multiple of tile_size and is filled up to one;
  /// strides in pairs and in numbers. Sums start at zero, see multiply_values.
  template <int tiles>
  void add_tiles(D d, const BFloat16Pair* left, Index left_stride, const BFloat16Pair* right,
                 Index right_stride, Interval pairs, float* sums, Index stride) {
    constexpr Index width = tiles * tile_size;
    for_each_sum<tiles>([&]<TileRegister sum, int x>() { registers_.template zero<sum>(); });
    for (Index j = pairs.begin; j < pairs.end; j += tile_size) {
      multiply<tiles, TileRegister::left, TileRegister::right>(
          left + j, left_stride, right + j * right_stride, right_stride);
    }
    alignas(64) float added[tile_size * width];
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_.template store<sum>(added + x * tile_size, width * Index{sizeof(float)});
    });
    for (Index r = 0; r < tile_size; ++r) {
      for (Index c = 0; c < width; c += lanes_of<D>) {
        float* to = sums + r * stride + c;
        hn::Store(hn::Add(hn::Load(d, to), hn::Load(d, added + r * width + c)), d, to);
      }
    }
  }

 private:
  static constexpr Index keys = key_tile<BFloat16>;
  static constexpr Index pair_bytes = sizeof(BFloat16Pair);
  static_assert(lanes_of<D> == tile_size && query_tile % tile_size == 0);
  static_assert(operands<BFloat16>(keys) % tile_size == 0);

  template <int tiles, class Do>
  static void for_each_sum(Do act) {
    [&]<int... x>(std::integer_sequence<int, x...>) {
      (act.template operator()<static_cast<TileRegister>(x), x>(), ...);
    }
    (std::make_integer_sequence<int, tiles>());
  }

  /// Adds left times right, tile_size pairs of each, to the first `tiles` sums.
  template <int tiles, TileRegister left, TileRegister right>
  void multiply(const BFloat16Pair* from_left, Index left_stride, const BFloat16Pair* from_right,
                Index right_stride) {
    registers_.template load<left>(from_left, left_stride * pair_bytes);
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_.template load<right>(from_right + x * tile_size, right_stride * pair_bytes);
      registers_.template multiply<sum, left, right>();
    });
  }

  void multiply_scores(const BFloat16Pair* q, const BFloat16Pair* k, float* scores) {
    for_each_sum<key_vectors>([&]<TileRegister sum, int x>() { registers_.template zero<sum>(); });
    Index c = 0;
    for (; c + tile_size <= length_; c += tile_size) {
      multiply<key_vectors, TileRegister::left, TileRegister::right>(
          q + c, length_, k + c * score_keys<D>, score_keys<D>);
    }
    if (c < length_) {
      multiply<key_vectors, TileRegister::left_rest, TileRegister::right_rest>(
          q + c, length_, k + c * score_keys<D>, score_keys<D>);
    }
    for_each_sum<key_vectors>([&]<TileRegister sum, int x>() {
      registers_.template store<sum>(scores + x * tile_size, keys * Index{sizeof(float)});
    });
  }

  template <int tiles>
  void add_chunk(D d, const VisibleRows& rows, const BFloat16Pair* weights,
                 const BFloat16Pair* values, Index first, float* sums) {
    constexpr Index width = tiles * tile_size;
    constexpr Index inner = operands<BFloat16>(keys);
    for (Index row = 0; row < rows.count; row += tile_size) {
      const auto seen = operands_of<BFloat16>(seen_by<keys>(rows, row, tile_size, first));
      if (seen.begin >= seen.end) continue;
      add_tiles<tiles>(d, weights + row * inner, inner, values, width,
                       {floor_div(seen.begin, tile_size) * tile_size, seen.end}, sums + row * width,
                       width);
    }
  }

  Index length_;
  Registers registers_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
