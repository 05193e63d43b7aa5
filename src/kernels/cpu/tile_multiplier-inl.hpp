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
#include <optional>
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

/// With `Registers` as those of AMX, for as long as it lives. What vectors of pairs read lies as
/// the right side of a product of tiles does: a pair of a key's numbers, or of two keys' values,
/// beside those of the next key or column. The left side lies in rows: weights do.
template <class Registers>
class TileMultiplier {
 public:
  using D = hn::ScalableTag<float>;

  /// `length`: operands of a row that is multiplied with keys.
  explicit TileMultiplier(Index length)
      : length_(length), registers_(std::in_place, tile_shapes(length % tile_size)) {}

  /// Multiplies rows of another length.
  void set_length(Index length) {
    if (length % tile_size != length_ % tile_size) {
      registers_.reset();
      registers_.emplace(tile_shapes(length % tile_size));
    }
    length_ = length;
  }

  /// See score_tile; `left` as copy_rows leaves it, and nothing is scaled.
  void score(const VisibleRows& rows, const BFloat16Pair* left, const BFloat16Pair* packed_keys,
             Index first, float* scores) {
    for (Index j = 0; j < keys; j += tile_size) {
      const auto seeing = kernels::HWY_NAMESPACE::seeing(rows, j, tile_size, first);
      if (seeing.empty()) continue;
      const Index row = floor_div(seeing.begin, tile_size) * tile_size;
      const auto* from = left + row * length_;
      const auto* to =
          packed_keys + (first + j / score_keys<D> * score_keys<D>)*length_ + j % score_keys<D>;
      float* at = scores + row * keys + j;
      switch (ceil_div(seeing.end - row, tile_size)) {
        case 1:
          multiply_scores<1>(from, to, at);
          break;
        case 2:
          multiply_scores<2>(from, to, at);
          break;
        default:
          multiply_scores<3>(from, to, at);
          break;
      }
    }
  }

  /// See add_products, by query. Weights are read up to a multiple of two vectors of keys.
  void add(const VisibleRows& rows, const BFloat16Pair* weights, const BFloat16Pair* values,
           Index value_dim, Index first, float* sums) {
    for (Index column = 0; column < value_dim;) {
      const Index width = chunk_columns<float>(column, value_dim);
      switch (width / tile_size) {
        case 1:
          add_chunk<1>(rows, weights, values, first, sums);
          break;
        case 2:
          add_chunk<2>(rows, weights, values, first, sums);
          break;
        case 3:
          add_chunk<3>(rows, weights, values, first, sums);
          break;
        default:
          add_chunk<4>(rows, weights, values, first, sums);
          break;
      }
      values += operands<BFloat16>(keys) * width;
      sums += query_tile * width;
      column += width;
    }
  }

  /// sums(r, c) += Sum_j left(r, j) right(j, c) for tile_size rows, `tiles` tiles of columns and
  /// the pairs of an interval, which begins at a multiple of tile_size and is filled up to one;
  /// strides in pairs and in numbers. Sums go on from what they are, unlike those of
  /// multiply_values: one addition for the 2 tile_size terms of a product has few roundings.
  template <int tiles>
  void add_tiles(const BFloat16Pair* left, Index left_stride, const BFloat16Pair* right,
                 Index right_stride, Interval pairs, float* sums, Index stride) {
    const Index row_bytes = stride * Index{sizeof(float)};
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_->template load<sum>(sums + x * tile_size, row_bytes);
    });
    for (Index j = pairs.begin; j < pairs.end; j += tile_size) {
      multiply_columns<tiles, TileRegister::left, TileRegister::right>(
          left + j, left_stride, right + j * right_stride, right_stride);
    }
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_->template store<sum>(sums + x * tile_size, row_bytes);
    });
  }

 private:
  static constexpr Index keys = key_tile<BFloat16>;
  static constexpr Index pair_bytes = sizeof(BFloat16Pair);
  static_assert(lanes_of<D> == tile_size && query_tile == 3 * tile_size);
  static_assert(operands<BFloat16>(keys) % tile_size == 0);

  template <int tiles, class Do>
  static void for_each_sum(Do act) {
    [&]<int... x>(std::integer_sequence<int, x...>) {
      (act.template operator()<static_cast<TileRegister>(x), x>(), ...);
    }
    (std::make_integer_sequence<int, tiles>());
  }

  /// Adds left times right, tile_size pairs of each, to the first `tiles` sums: those of as many
  /// tiles of columns.
  template <int tiles, TileRegister left, TileRegister right>
  void multiply_columns(const BFloat16Pair* from_left, Index left_stride,
                        const BFloat16Pair* from_right, Index right_stride) {
    registers_->template load<left>(from_left, left_stride * pair_bytes);
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_->template load<right>(from_right + x * tile_size, right_stride * pair_bytes);
      registers_->template multiply<sum, left, right>();
    });
  }

  /// The same for sums of as many tiles of rows, `length_` apart, and one tile of keys.
  template <int tiles, TileRegister left, TileRegister right>
  void multiply_rows(const BFloat16Pair* rows, const BFloat16Pair* from_right) {
    registers_->template load<right>(from_right, score_keys<D> * pair_bytes);
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_->template load<left>(rows + x * tile_size * length_, length_ * pair_bytes);
      registers_->template multiply<sum, left, right>();
    });
  }

  /// Scores of as many tiles of rows and tile_size keys.
  template <int tiles>
  void multiply_scores(const BFloat16Pair* rows, const BFloat16Pair* packed_keys, float* scores) {
    for_each_sum<tiles>([&]<TileRegister sum, int x>() { registers_->template zero<sum>(); });
    Index c = 0;
    for (; c + tile_size <= length_; c += tile_size) {
      multiply_rows<tiles, TileRegister::left, TileRegister::right>(
          rows + c, packed_keys + c * score_keys<D>);
    }
    if (c < length_) {
      multiply_rows<tiles, TileRegister::left_rest, TileRegister::right_rest>(
          rows + c, packed_keys + c * score_keys<D>);
    }
    for_each_sum<tiles>([&]<TileRegister sum, int x>() {
      registers_->template store<sum>(scores + x * tile_size * keys, keys * Index{sizeof(float)});
    });
  }

  template <int tiles>
  void add_chunk(const VisibleRows& rows, const BFloat16Pair* weights, const BFloat16Pair* values,
                 Index first, float* sums) {
    constexpr Index width = tiles * tile_size;
    constexpr Index inner = operands<BFloat16>(keys);
    for (Index row = 0; row < rows.count; row += tile_size) {
      const auto seen = operands_of<BFloat16>(seen_by<keys>(rows, row, tile_size, first));
      if (seen.begin >= seen.end) continue;
      add_tiles<tiles>(weights + row * inner, inner, values, width,
                       {floor_div(seen.begin, tile_size) * tile_size, seen.end}, sums + row * width,
                       width);
    }
  }

  Index length_;
  std::optional<Registers> registers_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
