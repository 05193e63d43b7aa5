// The functions of tiles and panels, compiled once for each instruction set.

#include "kernels/cpu/tile_functions.hpp"

#include "kernels/cpu/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile_functions.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/backward-inl.hpp"
#include "kernels/cpu/forward-inl.hpp"
#include "kernels/cpu/pack-inl.hpp"
#include "kernels/cpu/rows-inl.hpp"
#include "kernels/cpu/tile_gradients-inl.hpp"
#include "kernels/cpu/tile_products-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {

template <class E>
TileFunctions<E> functions() {
  return {.target = hwy::TargetName(HWY_TARGET),
          .lanes = lanes_of<hn::ScalableTag<Accumulator<E>>>,
          .summed_queries = query_tile,
          .outruns_last_cache = false,
          .pack_keys = pack_keys<E>,
          .pack_values = pack_values<E>,
          .accumulate = accumulate<E>,
          .pack_gradient_keys = pack_gradient_keys<E>,
          .pack_gradient_queries = pack_gradient_queries<E>,
          .accumulate_gradients = accumulate_gradients<E>,
          .scale_sums = scale_sums<Accumulator<E>>};
}

template <class S>
const RowFunctions<S>& all_row_functions() {
  static const RowFunctions<S> all{
      .widen = widen<S>, .accumulate = accumulate_rows<S>, .accumulate_pairs = nullptr};
  return all;
}
const RowFunctions<float>& float_row_functions() {
  return all_row_functions<float>();
}
const RowFunctions<double>& double_row_functions() {
  return all_row_functions<double>();
}
const RowFunctions<BFloat16>& bf16_row_functions() {
#if ANNULUS_TARGET_HAS_BF16_DOT
  static const RowFunctions<BFloat16> all{.widen = widen<BFloat16>,
                                          .accumulate = accumulate_rows<BFloat16>,
                                          .accumulate_pairs = accumulate_row_pairs};
  return all;
#else
  return all_row_functions<BFloat16>();
#endif
}
const RowFunctions<Float16>& fp16_row_functions() {
  return all_row_functions<Float16>();
}

const TileFunctions<float>& float_functions() {
  static const auto all = functions<float>();
  return all;
}
const TileFunctions<double>& double_functions() {
  static const auto all = functions<double>();
  return all;
}
const TileFunctions<BFloat16>* bf16_functions() {
#if ANNULUS_TARGET_HAS_BF16_DOT
  static const auto all = functions<BFloat16>();
  return &all;
#else
  return nullptr;
#endif
}

const TileFunctions<BFloat16>* bf16_tile_functions() {
#if ANNULUS_TARGET_HAS_BF16_DOT
  static const auto all = [] {
    auto with_tiles = functions<BFloat16>();
    with_tiles.summed_queries = tiled_queries;
    with_tiles.outruns_last_cache = true;
    with_tiles.accumulate = accumulate<BFloat16, TileProducts<TileRegisters>>;
    with_tiles.pack_gradient_queries =
        pack_gradient_queries<BFloat16, TileGradients<TileRegisters>>;
    with_tiles.accumulate_gradients = accumulate_gradients<BFloat16, TileGradients<TileRegisters>>;
    return with_tiles;
  }();
  return &all;
#else
  return nullptr;
#endif
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "annulus/base/error.hpp"

namespace annulus::kernels {

HWY_EXPORT(float_functions);
HWY_EXPORT(double_functions);
HWY_EXPORT(bf16_functions);
HWY_EXPORT(bf16_tile_functions);
HWY_EXPORT(float_row_functions);
HWY_EXPORT(double_row_functions);
HWY_EXPORT(bf16_row_functions);
HWY_EXPORT(fp16_row_functions);

template <>
const TileFunctions<float>& tile_functions<float>() {
  return HWY_DYNAMIC_DISPATCH(float_functions)();
}

template <>
const TileFunctions<double>& tile_functions<double>() {
  return HWY_DYNAMIC_DISPATCH(double_functions)();
}

namespace {

const TileFunctions<BFloat16>& of_bf16(const TileFunctions<BFloat16>* functions) {
  ensure(functions != nullptr, "the instruction set in use multiplies bf16");
  return *functions;
}

}  // namespace

template <>
const TileFunctions<BFloat16>& tile_functions<BFloat16>() {
  return of_bf16(HWY_DYNAMIC_DISPATCH(bf16_functions)());
}

const TileFunctions<BFloat16>& amx_functions() {
  return of_bf16(HWY_DYNAMIC_DISPATCH(bf16_tile_functions)());
}

template <>
const RowFunctions<float>& row_functions<float>() {
  return HWY_DYNAMIC_DISPATCH(float_row_functions)();
}
template <>
const RowFunctions<double>& row_functions<double>() {
  return HWY_DYNAMIC_DISPATCH(double_row_functions)();
}
template <>
const RowFunctions<BFloat16>& row_functions<BFloat16>() {
  return HWY_DYNAMIC_DISPATCH(bf16_row_functions)();
}
template <>
const RowFunctions<Float16>& row_functions<Float16>() {
  return HWY_DYNAMIC_DISPATCH(fp16_row_functions)();
}

bool target_has_bf16_tiles() {
  return HWY_DYNAMIC_DISPATCH(bf16_functions)() != nullptr;
}

}  // namespace annulus::kernels
#endif
