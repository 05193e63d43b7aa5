// Gradients of a tile of rows over packed columns, compiled once for each instruction set.

#include "kernels/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu_exp-inl.hpp"
#include "kernels/cpu_gradient_tile.hpp"
#include "kernels/cpu_pack-inl.hpp"
#include "kernels/cpu_softmax-inl.hpp"
#include "kernels/cpu_sums-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Logits become p = e^(z - lse), and <dout, v> becomes dz = p (<dout, v> - mean).
template <bool queries_are_rows, class D, class T = hn::TFromD<D>>
HWY_INLINE void differentiate_row(D d, const GradientTile<T>& tile, Index r, Index first) {
  T* HWY_RESTRICT weights = tile.scratch.weights + r * key_tile<T>;
  T* HWY_RESTRICT gradients = tile.scratch.gradients + r * key_tile<T>;
  auto lse = hn::Set(d, queries_are_rows ? tile.lse[r] : T{0});
  auto mean = hn::Set(d, queries_are_rows ? tile.mean[r] : T{0});
  for (Index j = 0; j < key_tile<T>; j += lanes_of<D>) {
    if constexpr (!queries_are_rows) {
      lse = hn::Load(d, tile.lse + first + j);
      mean = hn::Load(d, tile.mean + first + j);
    }
    const auto z = clamp_exponent(d, hn::Sub(hn::Load(d, weights + j), lse));
    const auto p = exp_clamped(d, z);
    hn::Store(p, d, weights + j);
    hn::Store(hn::Mul(p, hn::Sub(hn::Load(d, gradients + j), mean)), d, gradients + j);
  }
}

template <bool queries_are_rows, class D, class T = hn::TFromD<D>>
HWY_INLINE void differentiate_tile(D d, const GradientTile<T>& tile, Index first) {
  const bool full = all_seen<T>(tile.rows, first);
  for (Index r = 0; r < tile.rows.count; ++r) {
    if (!full) {
      mask_row(d, seen_by<T>(tile.rows, r, 1, first), tile.scratch.weights + r * key_tile<T>);
    }
    differentiate_row<queries_are_rows>(d, tile, r, first);
  }
}

template <class T>
void accumulate(const GradientTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const auto& scratch = tile.scratch;
  const auto& rows = tile.rows;
  pack_rows(tile.left, tile.left_stride, rows.count, tile.dim, nullptr, 0, scratch.rows);
  pack_rows(tile.value_left, tile.value_left_stride, rows.count, tile.value_dim, nullptr, 0,
            scratch.value_rows);
  load_sums(tile.sums, tile.sums_stride, rows.count, tile.dim, scratch.sums);
  if (tile.value_sums != nullptr) {
    load_sums(tile.value_sums, tile.value_sums_stride, rows.count, tile.value_dim,
              scratch.value_sums);
  }
  const Index begin = floor_div(tile.columns_begin, key_tile<T>) * key_tile<T>;
  for (Index first = begin; first < tile.columns_end; first += key_tile<T>) {
    score_tile(d, rows, scratch.rows, tile.columns, tile.dim, first, scratch.weights);
    score_tile(d, rows, scratch.value_rows, tile.value_columns, tile.value_dim, first,
               scratch.gradients);
    if (tile.queries_are_rows) {
      differentiate_tile<true>(d, tile, first);
    } else {
      differentiate_tile<false>(d, tile, first);
    }
    add_products(d, rows, scratch.gradients, tile.factors, tile.dim, first, scratch.sums);
    if (tile.value_sums != nullptr) {
      add_products(d, rows, scratch.weights, tile.value_factors, tile.value_dim, first,
                   scratch.value_sums);
    }
  }
  store_sums(scratch.sums, rows.count, tile.dim, tile.sums, tile.sums_stride);
  if (tile.value_sums != nullptr) {
    store_sums(scratch.value_sums, rows.count, tile.value_dim, tile.value_sums,
               tile.value_sums_stride);
  }
}

void accumulate_float(const GradientTile<float>& tile) {
  accumulate(tile);
}
void accumulate_double(const GradientTile<double>& tile) {
  accumulate(tile);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace annulus::kernels {

HWY_EXPORT(accumulate_float);
HWY_EXPORT(accumulate_double);

template <>
void accumulate_gradients(const GradientTile<float>& tile) {
  HWY_DYNAMIC_DISPATCH(accumulate_float)(tile);
}

template <>
void accumulate_gradients(const GradientTile<double>& tile) {
  HWY_DYNAMIC_DISPATCH(accumulate_double)(tile);
}

}  // namespace annulus::kernels
#endif
