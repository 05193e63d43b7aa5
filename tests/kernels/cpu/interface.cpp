#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "kernels/cpu/kernels_under_test.hpp"

namespace annulus::test {
namespace {

TEST(Cpu, IsTheFastestBackendForEveryType) {
  for (const auto type :
       {DataType::float64, DataType::float32, DataType::bfloat16, DataType::float16}) {
    EXPECT_EQ(&kernels::find_backend("cpu", type), &kernels::cpu());
    EXPECT_EQ(&kernels::find_backend("auto", type), &kernels::cpu());
  }
}

TEST(Cpu, RefusesKeysOfATypeThatItsSumsCannotHold) {
  const Tensor<float> q(1, 1, 3);
  const Tensor<double> k(1, 1, 3);
  const std::vector<double> one(1, 1.0);
  const auto pass = kernels::cpu().forward(
      {.q = q.view(), .scale = {.rows = dense_view(one.data(), 1, 1, 1), .heads = one}, .sink = {}},
      {.key_heads = 1, .value_dim = 3});
  const Block block{.queries = {.count = 1}, .keys = {.count = 1}};
  EXPECT_THROW(pass->accumulate(k.view(), k.view(), std::vector{block}, {}), Error);
}

TEST(Cpu, RefusesKeysOfAnotherShape) {
  const Tensor<float> q(1, 2, 3);
  const Tensor<float> k(1, 1, 3);
  const Tensor<float> v(1, 1, 4);
  const std::vector<double> one(2, 1.0);
  const auto pass = kernels::cpu().forward(
      {.q = q.view(), .scale = {.rows = dense_view(one.data(), 1, 1, 1), .heads = one}, .sink = {}},
      {.key_heads = 1, .value_dim = 3});
  EXPECT_THROW(pass->accumulate(k.view(), v.view(), {}, {}), Error);
}

// A number for each row, or for each row and head; a factor for each head.
TEST(Cpu, RefusesScalesOfOtherRowsOrHeads) {
  const Tensor<float> q(3, 2, 4);
  const std::vector<double> numbers(12, 1.0);
  const auto start = [&](Index rows, Index columns, std::size_t heads) {
    static_cast<void>(
        kernels::cpu().forward({.q = q.view(),
                                .scale = {.rows = dense_view(numbers.data(), rows, columns, 1),
                                          .heads = std::span(numbers).first(heads)},
                                .sink = {}},
                               {.key_heads = 1, .value_dim = 4}));
  };
  EXPECT_NO_THROW(start(3, 1, 2));
  EXPECT_NO_THROW(start(3, 2, 2));
  EXPECT_THROW(start(3, 2, 1), Error);
  EXPECT_THROW(start(2, 1, 2), Error);
  EXPECT_THROW(start(3, 3, 2), Error);
}

TEST(Cpu, ChoosesTheBestTargetOfTheMachine) {
  EXPECT_EQ(kernels::simd_target(), hwy::TargetName(runnable_targets().front()));
}

TEST(Cpu, MeasuresAPeakThatVectorsExplain) {
  // A core does between one multiply-add and 128 of them (2 vectors of 2048 bits) in a cycle, at
  // between 0.1 and 10 GHz, and twice as many of bf16.
  for (const auto type : {DataType::float32, DataType::float64, DataType::bfloat16}) {
    const double peak = kernels::measure_peak_flops(type, 1, 0.02);
    EXPECT_GT(peak, 2e8 / 10);
    EXPECT_LT(peak, 2 * 256 * 1e10);
  }
}

}  // namespace
}  // namespace annulus::test
