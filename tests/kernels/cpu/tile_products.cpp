// Passes whose products are those of tile registers, on a model of them.

#include "kernels/cpu/simd_targets.hpp"

// Those that have pairs of bf16, and what everything is compiled for.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile_products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/forward-inl.hpp"
#include "kernels/cpu/model_registers.hpp"
#include "kernels/cpu/tile_functions.hpp"
#include "kernels/cpu/tile_gradients-inl.hpp"
#include "kernels/cpu/tile_products-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {

/// `functions` with those products.
TileFunctions<BFloat16> on_the_model(TileFunctions<BFloat16> functions) {
#if ANNULUS_TARGET_HAS_BF16_DOT
  functions.accumulate = accumulate<BFloat16, TileProducts<test::ModelRegisters>>;
  functions.pack_gradient_queries =
      pack_gradient_queries<BFloat16, TileGradients<test::ModelRegisters>>;
  functions.accumulate_gradients =
      accumulate_gradients<BFloat16, TileGradients<test::ModelRegisters>>;
#endif
  return functions;
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/backward_pass.hpp"
#include "kernels/cpu/kernels_under_test.hpp"
#include "kernels/cpu/pass.hpp"
#include "kernels/cpu/tile_check.hpp"

namespace annulus::kernels {
HWY_EXPORT(on_the_model);
}

namespace annulus::test {
namespace {

/// The functions for bf16 with those products, where this machine has the rest of them.
const kernels::TileFunctions<BFloat16>& model_functions() {
  using namespace kernels;
  static const auto functions = HWY_DYNAMIC_DISPATCH(on_the_model)(amx_functions());
  return functions;
}

class TileKernel final : public kernels::Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "cpu"; }
  [[nodiscard]] bool supports(DataType type) const override { return type == DataType::bfloat16; }
  [[nodiscard]] DataType factor_type(DataType type) const override { return type; }
  [[nodiscard]] Index longest_sum(DataType type) const override {
    return kernels::cpu().longest_sum(type);
  }
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> forward(
      const kernels::Queries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<kernels::CpuForward<BFloat16>>(queries, options, model_functions());
  }
  [[nodiscard]] std::unique_ptr<kernels::BackwardPass> backward(
      const kernels::BackwardQueries& queries, const kernels::PassOptions& options) const override {
    return std::make_unique<kernels::CpuBackward<BFloat16>>(queries, options, model_functions());
  }
};

std::vector<KernelUnderTest> tile_kernels() {
  const std::vector types{DataType::bfloat16};
  if (!machine_has_bf16_pairs()) return {};
  return {{.name = "AMX",
           .open = [] { return std::make_shared<const TileKernel>(); },
           .types = types,
           .types_of_many = types,
           .head_dims = {1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 65, 96, 127, 128, 256},
           .value_dims = {1, 2, 15, 16, 17, 33, 48, 63, 64, 80, 97, 112, 1031},
           .lengths = {1, 15, 16, 17, 47, 48, 49, 95, 96, 97, 191, 192, 193, 383, 385}}};
}

/// As instructions whose operands somebody has put the wrong way round.
class ExchangedRegisters : public ModelRegisters {
 public:
  using ModelRegisters::ModelRegisters;
  template <Register tile>
  void load(const void* from, Index stride) {
    ModelRegisters::load<exchanged(tile)>(from, stride);
  }

 private:
  static constexpr Register exchanged(Register tile) {
    if (tile == Register::left) return Register::right;
    return tile == Register::right ? Register::left : tile;
  }
};

TEST(CpuTileRegisters, AreTriedBeforeTheyAreUsed) {
  EXPECT_TRUE(kernels::multiplies_as_expected<ModelRegisters>());
  EXPECT_FALSE(kernels::multiplies_as_expected<ExchangedRegisters>());
}

// One key has all of the probability, so dv is the sum of dout: 2^25 over the queries of the first
// panel, where a unit in the last place is 4, and one for each query of the others whose number
// the column does not divide.
TEST(CpuTileProducts, WhatRoundingTakesFromGradientsOfKeysIsKept) {
  constexpr Index panel = 768;
  constexpr Index queries = 6 * panel;
  constexpr Index columns = 40;
  for (const auto& kernel : tile_kernels()) {
    const auto whole = random_problem<BFloat16>(
        {.head_dim = 2, .value_dim = columns, .documents = Documents::single(queries, 1)}, 31);
    Tensor<float> dv(1, 1, columns);
    Tensor<BFloat16> dout(queries, 1, columns);
    for (Index i = 0; i < queries; ++i) {
      for (Index c = 0; c < columns; ++c) {
        double number = i == 0 ? 0x1p25 : 0;
        if (i >= panel) number = i % (c + 2) == 0 ? 0 : 1;
        dout.at(i, 0, c) = BFloat16(number);
        dv.at(0, 0, c) += static_cast<float>(i == 0 ? 0 : number);
      }
    }
    const auto got = gradients_by(*kernel.open(), whole, dout, {.statistics = false});
    for (Index c = 0; c < columns; ++c) {
      EXPECT_NEAR(got.dv.at(0, 0, c) - 0x1p25F, dv.at(0, 0, c), 2) << c;
    }
  }
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Tiles, ForwardKernel, testing::ValuesIn(tile_kernels()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(Tiles, BackwardKernel, testing::ValuesIn(tile_kernels()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(Tiles, EitherPass, testing::ValuesIn(both_passes(tile_kernels())),
                         name_of_test<PassUnderTest>);

}  // namespace annulus::test
#endif
