// What benchmarks compare with on a GPU.
#include "kernels/rulers/gpu_rulers.hpp"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace annulus::kernels::gpu {
namespace {

using device::Buffer;
using device::RowCopy;

/// The product is the product, with sums of fp32 and factors that are not rounded.
template <class T>
void expect_products(double bound) {
  constexpr int n = 96;
  const auto stream = device::open_stream(Device::cuda());
  const auto cublas = open_cublas(stream);
  if (cublas == nullptr) GTEST_SKIP() << cublas_problem();
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<T> a(n * n);
  std::vector<T> b(n * n);
  std::vector<T> c(n * n);
  for (auto* matrix : {&a, &b}) {
    for (auto& value : *matrix) value = static_cast<T>(normal(random));
  }
  const std::size_t bytes = a.size() * sizeof(T);
  const Buffer there_a(stream, bytes);
  const Buffer there_b(stream, bytes);
  const Buffer there_c(stream, bytes);
  stream->upload(RowCopy::of_bytes(there_a.data(), a.data(), bytes));
  stream->upload(RowCopy::of_bytes(there_b.data(), b.data(), bytes));
  cublas->multiply(data_type_of<T>, n, there_a.data(), there_b.data(), there_c.data());
  stream->download(RowCopy::of_bytes(c.data(), there_c.data(), bytes));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double exact = 0;
      double size = 0;
      for (std::size_t l = 0; l < n; ++l) {
        const double term = static_cast<double>(a[l * n + i]) * static_cast<double>(b[j * n + l]);
        exact += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(static_cast<double>(c[j * n + i]), exact, bound * std::abs(exact) + 6e-6 * size);
    }
  }
}

TEST(GpuRulers, MultiplyMatrices) {
  expect_products<BFloat16>(0x1p-8);
  expect_products<Float16>(0x1p-11);
  expect_products<float>(0);  // tf32 would be off by 2^-11
}

TEST(GpuRulers, MeasureSomething) {
  GpuRulers rulers(device::open_stream(Device::cuda()));
  const double copied = rulers.copy_bytes(0.01);
  EXPECT_TRUE(copied > 0 && std::isfinite(copied));
  const double multiplied = rulers.gemm_flops(DataType::bfloat16, 0.01);
  EXPECT_EQ(multiplied > 0, cublas_problem().empty());
  EXPECT_TRUE(std::isnan(rulers.gemm_flops(DataType::float64, 0.01)));
}

}  // namespace
}  // namespace annulus::kernels::gpu
