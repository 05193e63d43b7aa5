// Gradients of a panel of queries and keys, compiled once for each instruction set.

#include "kernels/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu_exp-inl.hpp"
#include "kernels/cpu_gradient_panel.hpp"
#include "kernels/cpu_pack-inl.hpp"
#include "kernels/cpu_softmax-inl.hpp"
#include "kernels/cpu_sums-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
inline constexpr Index vector_lanes = lanes_of<hn::ScalableTag<T>>;

template <class T>
constexpr Index padded(Index dim) {
  return ceil_div(dim, vector_lanes<T>) * vector_lanes<T>;
}

/// Logits become p = e^(z - lse), and <dout, v> becomes dz = p (<dout, v> - mean).
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void differentiate_row(D d, T lse_of_row, T mean_of_row, T* HWY_RESTRICT weights,
                                  T* HWY_RESTRICT gradients) {
  const auto lse = hn::Set(d, lse_of_row);
  const auto mean = hn::Set(d, mean_of_row);
  for (Index j = 0; j < key_tile<T>; j += lanes_of<D>) {
    const auto z = clamp_exponent(d, hn::Sub(hn::Load(d, weights + j), lse));
    const auto p = exp_clamped(d, z);
    hn::Store(p, d, weights + j);
    hn::Store(hn::Mul(p, hn::Sub(hn::Load(d, gradients + j), mean)), d, gradients + j);
  }
}

/// The five products of a tile of queries, `row` rows into the panel, and the tile of keys that
/// starts at `first`.
template <class T>
void accumulate_tile(const GradientPanel<T>& panel, Index row, Index first) {
  const hn::ScalableTag<T> d;
  const auto& scratch = panel.scratch;
  const VisibleRows rows{HWY_MIN(query_tile, panel.rows.count - row), panel.rows.visible + row};
  score_tile<T>(d, rows, scratch.q + row * panel.dim, panel.keys.columns, panel.dim, first,
                Unscaled{}, scratch.weights);
  score_tile<T>(d, rows, scratch.dout + row * panel.value_dim, panel.keys.value_columns,
                panel.value_dim, first, Unscaled{}, scratch.gradients);
  const bool full = all_seen<T>(rows, first);
  for (Index r = 0; r < rows.count; ++r) {
    T* weights = scratch.weights + r * key_tile<T>;
    if (!full) mask_row<T>(d, seen_by<T>(rows, r, 1, first), weights);
    differentiate_row(d, panel.lse[row + r], panel.mean[row + r], weights,
                      scratch.gradients + r * key_tile<T>);
  }
  const Index dim = padded<T>(panel.dim);
  const Index value_dim = padded<T>(panel.value_dim);
  add_products<T, Weights::by_key>(d, rows, scratch.weights, scratch.dout_factors + row * value_dim,
                                   panel.value_dim, first, scratch.dv);
  add_products<T, Weights::by_key>(d, rows, scratch.gradients, scratch.q_factors + row * dim,
                                   panel.dim, first, scratch.dk);
  add_products<T, Weights::by_query>(d, rows, scratch.gradients, panel.keys.factors + first * dim,
                                     panel.dim, first, scratch.dq + row * dim);
}

/// Whether some row of the tile sees a key of [first, first + key_tile).
template <class T>
bool meets(const GradientPanel<T>& panel, Index row, Index first) {
  const Index last = HWY_MIN(row + query_tile, panel.rows.count) - 1;
  return panel.rows.visible[last].end > first &&
         panel.rows.visible[row].begin < first + key_tile<T>;
}

/// Queries of a tile times their scales, rounded once.
template <class T>
void scale_rows(const GradientPanel<T>& panel, Index row, Index count) {
  for (Index r = 0; r < count; ++r) {
    const double scale = panel.scale[(row + r) * panel.scale_stride];
    const T* HWY_RESTRICT from = panel.q + (row + r) * panel.q_stride;
    T* HWY_RESTRICT to = panel.scratch.scaled + r * panel.dim;
    for (Index c = 0; c < panel.dim; ++c)
      to[c] = static_cast<T>(scale * static_cast<double>(from[c]));
  }
}

template <class T>
void pack_queries(const GradientPanel<T>& panel) {
  const auto& scratch = panel.scratch;
  const Index dim = padded<T>(panel.dim);
  const Index value_dim = padded<T>(panel.value_dim);
  for (Index row = 0; row < panel.rows.count; row += query_tile) {
    const Index count = HWY_MIN(query_tile, panel.rows.count - row);
    scale_rows(panel, row, count);
    const T* dout = panel.dout + row * panel.dout_stride;
    pack_rows(scratch.scaled, panel.dim, count, panel.dim, nullptr, 0, scratch.q + row * panel.dim);
    pack_rows(dout, panel.dout_stride, count, panel.value_dim, nullptr, 0,
              scratch.dout + row * panel.value_dim);
    pack_factors(scratch.scaled, panel.dim, count, panel.dim, query_tile,
                 scratch.q_factors + row * dim);
    pack_factors(dout, panel.dout_stride, count, panel.value_dim, query_tile,
                 scratch.dout_factors + row * value_dim);
    load_sums(panel.dq + row * panel.dim, panel.dim, count, panel.dim, query_tile,
              scratch.dq + row * dim);
  }
}

template <class T>
void accumulate(const GradientPanel<T>& panel) {
  const auto& scratch = panel.scratch;
  pack_queries(panel);
  for (Index first = 0; first < panel.keys.count; first += key_tile<T>) {
    const Index count = HWY_MIN(key_tile<T>, panel.keys.count - first);
    T* dk = panel.dk + first * panel.dk_stride;
    T* dv = panel.dv + first * panel.dv_stride;
    load_sums(dk, panel.dk_stride, count, panel.dim, key_tile<T>, scratch.dk);
    load_sums(dv, panel.dv_stride, count, panel.value_dim, key_tile<T>, scratch.dv);
    for (Index row = 0; row < panel.rows.count; row += query_tile) {
      if (meets(panel, row, first)) accumulate_tile(panel, row, first);
    }
    store_sums(scratch.dk, count, panel.dim, key_tile<T>, dk, panel.dk_stride);
    store_sums(scratch.dv, count, panel.value_dim, key_tile<T>, dv, panel.dv_stride);
  }
  for (Index row = 0; row < panel.rows.count; row += query_tile) {
    store_sums(scratch.dq + row * padded<T>(panel.dim), HWY_MIN(query_tile, panel.rows.count - row),
               panel.dim, query_tile, panel.dq + row * panel.dim, panel.dim);
  }
}

template <class T>
void pack(const T* k, Index stride, const T* v, Index value_stride, Index dim, Index value_dim,
          const GradientKeys<T>& keys) {
  for (Index first = 0; first < keys.count; first += key_tile<T>) {
    const Index count = HWY_MIN(key_tile<T>, keys.count - first);
    pack_keys(k + first * stride, stride, count, dim, keys.columns + first * dim);
    pack_keys(v + first * value_stride, value_stride, count, value_dim,
              keys.value_columns + first * value_dim);
    pack_values(k + first * stride, stride, count, dim, keys.factors + first * padded<T>(dim));
  }
}

void accumulate_float(const GradientPanel<float>& panel) {
  accumulate(panel);
}
void accumulate_double(const GradientPanel<double>& panel) {
  accumulate(panel);
}
void pack_float(const float* k, Index stride, const float* v, Index value_stride, Index dim,
                Index value_dim, const GradientKeys<float>& keys) {
  pack(k, stride, v, value_stride, dim, value_dim, keys);
}
void pack_double(const double* k, Index stride, const double* v, Index value_stride, Index dim,
                 Index value_dim, const GradientKeys<double>& keys) {
  pack(k, stride, v, value_stride, dim, value_dim, keys);
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace annulus::kernels {

HWY_EXPORT(accumulate_float);
HWY_EXPORT(accumulate_double);
HWY_EXPORT(pack_float);
HWY_EXPORT(pack_double);

template <>
void accumulate_gradients(const GradientPanel<float>& panel) {
  HWY_DYNAMIC_DISPATCH(accumulate_float)(panel);
}
template <>
void accumulate_gradients(const GradientPanel<double>& panel) {
  HWY_DYNAMIC_DISPATCH(accumulate_double)(panel);
}
template <>
void pack_gradient_keys(const float* k, Index stride, const float* v, Index value_stride, Index dim,
                        Index value_dim, const GradientKeys<float>& keys) {
  HWY_DYNAMIC_DISPATCH(pack_float)(k, stride, v, value_stride, dim, value_dim, keys);
}
template <>
void pack_gradient_keys(const double* k, Index stride, const double* v, Index value_stride,
                        Index dim, Index value_dim, const GradientKeys<double>& keys) {
  HWY_DYNAMIC_DISPATCH(pack_double)(k, stride, v, value_stride, dim, value_dim, keys);
}

}  // namespace annulus::kernels
#endif
