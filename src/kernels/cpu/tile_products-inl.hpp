// The products of bf16 by tile registers: <q, k> of 16 queries and 48 keys, and weights times
// values.

#if defined(ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
#undef ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
#else
#define ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
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

/// What ForwardTile's products are made of, with `Registers` as those of AMX. Keys, values and
/// weights lie as vectors of pairs read them: a pair of a key's numbers, or of two keys' values,
/// beside those of the next key or column, which is what the right side of a product of tiles is.
/// The left side lies in rows: weights do, and queries are copied so.
template <class Registers>
class TileProducts {
 public:
  using D = hn::ScalableTag<float>;

  TileProducts(D /*d*/, const ForwardTile<BFloat16>& tile)
      : tile_(tile),
        length_(operands<BFloat16>(tile.dim)),
        registers_(tile_shapes(length_ % tile_size)) {
    for (Index r = 0; r < tile.rows.count; ++r) {
      const BFloat16* from = tile.q + r * tile.q_stride;
      auto* to = reinterpret_cast<BFloat16*>(tile.scratch.q + r * length_);
      std::copy_n(from, tile.dim, to);
      std::fill(to + tile.dim, to + length_ * operand_size<BFloat16>, BFloat16());
    }
    narrow_scales(tile);
  }

  /// See score_tile.
  void score(D d, Index first) {
    const auto& rows = tile_.rows;
    const auto& scratch = tile_.scratch;
    for (Index j = 0; j < keys; j += score_keys<D>) {
      for (Index row = 0; row < rows.count; row += tile_size) {
        const auto seen = seen_by<keys>(rows, row, tile_size, first);
        if (seen.begin >= j + score_keys<D> || seen.end <= j) continue;
        multiply_scores(scratch.q + row * length_, tile_.keys + (first + j) * length_,
                        scratch.scores + row * keys + j);
      }
    }
    for (Index r = 0; r < rows.count; ++r) {
      const auto scale = hn::Set(d, scratch.scale[r]);
      float* scores = scratch.scores + r * keys;
      for (Index j = 0; j < keys; j += lanes_of<D>) {
        hn::Store(hn::Mul(hn::Load(d, scores + j), scale), d, scores + j);
      }
    }
  }

  /// See add_products, by query.
  void add(D d, Index first) {
    const BFloat16Pair* values =
        tile_.values + operands<BFloat16>(first) * padded<float>(tile_.value_dim);
    float* sums = tile_.scratch.out;
    for (Index column = 0; column < tile_.value_dim;) {
      const Index width = chunk_columns<float>(column, tile_.value_dim);
      switch (width / tile_size) {
        case 1:
          add_chunk<1>(d, values, first, sums);
          break;
        case 2:
          add_chunk<2>(d, values, first, sums);
          break;
        case 3:
          add_chunk<3>(d, values, first, sums);
          break;
        default:
          add_chunk<4>(d, values, first, sums);
          break;
      }
      values += operands<BFloat16>(keys) * width;
      sums += query_tile * width;
      column += width;
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

  /// Sums start at zero, see multiply_values.
  template <int tiles>
  void add_chunk(D d, const BFloat16Pair* values, Index first, float* sums) {
    constexpr Index width = tiles * tile_size;
    constexpr Index inner = operands<BFloat16>(keys);
    for (Index row = 0; row < tile_.rows.count; row += tile_size) {
      const auto seen = operands_of<BFloat16>(seen_by<keys>(tile_.rows, row, tile_size, first));
      if (seen.begin >= seen.end) continue;
      for_each_sum<tiles>([&]<TileRegister sum, int x>() { registers_.template zero<sum>(); });
      for (Index j = floor_div(seen.begin, tile_size) * tile_size; j < seen.end; j += tile_size) {
        multiply<tiles, TileRegister::left, TileRegister::right>(
            tile_.scratch.weights + row * inner + j, inner, values + j * width, width);
      }
      alignas(64) float added[tile_size * width];
      for_each_sum<tiles>([&]<TileRegister sum, int x>() {
        registers_.template store<sum>(added + x * tile_size, width * Index{sizeof(float)});
      });
      float* to = sums + row * width;
      for (Index i = 0; i < tile_size * width; i += lanes_of<D>) {
        hn::Store(hn::Add(hn::Load(d, to + i), hn::Load(d, added + i)), d, to + i);
      }
    }
  }

  const ForwardTile<BFloat16>& tile_;
  Index length_;  // pairs of d
  Registers registers_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
