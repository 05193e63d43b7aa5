// The products of a forward pass in bf16 by tile registers.

#if defined(ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
#undef ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
#else
#define ANNULUS_KERNELS_CPU_TILE_PRODUCTS_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu/tile.hpp"
#include "kernels/cpu/tile_multiplier-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if ANNULUS_TARGET_HAS_BF16_DOT

/// As VectorProducts.
template <class Registers>
class TileProducts {
 public:
  using D = hn::ScalableTag<float>;

  TileProducts(D /*d*/, const ForwardTile<BFloat16>& tile)
      : tile_(tile), multiplier_(operands<BFloat16>(tile.dim)) {
    copy_rows(tile.q, tile.q_stride, tile.rows.count, tile.dim, tile.scratch.q);
    narrow_scales(tile);
  }

  void score(D /*d*/, Index first) {
    multiplier_.score(tile_.rows, tile_.scratch.q, tile_.keys, first, tile_.scratch.scores);
  }

  [[nodiscard]] RowScales<float> unscaled() const { return {tile_.scratch.scale}; }

  void add(D /*d*/, Index first, Index /*next*/) {
    multiplier_.add(tile_.rows, tile_.scratch.weights,
                    tile_.values + operands<BFloat16>(first) * padded<float>(tile_.value_dim),
                    tile_.value_dim, first, tile_.scratch.out);
  }

 private:
  const ForwardTile<BFloat16>& tile_;
  TileMultiplier<Registers> multiplier_;
};

#endif

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
