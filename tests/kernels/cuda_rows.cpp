// The kernels that go over rows or numbers one by one, on the model of a thread block.
#include <gtest/gtest.h>

#include "kernels/cuda_test.hpp"

namespace annulus::test {
namespace {

template <class T>
void expect_means(Index rows, Index heads, Index dim) {
  SCOPED_TRACE(std::to_string(rows) + " rows, " + std::to_string(heads) + " heads, " +
               std::to_string(dim) + " elements");
  std::mt19937_64 random(static_cast<unsigned>(dim));
  const auto dout = random_tensor<T>(random, rows, heads, dim);
  const auto out = random_tensor<float>(random, rows, heads, dim);
  const AlignedRows<T> aligned(dout);
  std::vector<float> mean(static_cast<std::size_t>(rows * heads) + 1, -7.0F);
  const ModelLauncher launcher;
  launcher.mean(gpu::choose_kernel(data_type_of<T>, dim, dim),
                {.dout = aligned.rows(),
                 .out = out.values.data(),
                 .rows = static_cast<int>(rows),
                 .heads = static_cast<int>(heads),
                 .mean = mean.data()},
                *device::cpu_stream());
  std::size_t at = 0;
  for (Index i = 0; i < rows; ++i) {
    for (Index h = 0; h < heads; ++h, ++at) {
      double exact = 0;
      double size = 0;
      for (Index c = 0; c < dim; ++c) {
        const double product =
            static_cast<double>(dout.at(i, h, c)) * static_cast<double>(out.at(i, h, c));
        exact += product;
        size += std::abs(product);
      }
      ASSERT_NEAR(mean[at], exact, static_cast<double>(dim) * 0x1p-24 * size) << i << ", " << h;
    }
  }
  EXPECT_EQ(mean[at], -7.0F) << "past the end";
}

TEST(CudaRows, Means) {
  for (const Index dim : {1, 31, 32, 33, 64, 100, 256}) {
    expect_means<float>(5, 3, dim);
    expect_means<BFloat16>(4, 1, dim);
    expect_means<Float16>(1, 2, dim);
  }
}

TEST(CudaRows, Additions) {
  for (const Index count : {0, 1, 255, 256, 257, 1023, 1024, 1025, 4099}) {
    std::vector<float> sums(static_cast<std::size_t>(count) + 1, -3.0F);
    std::vector<float> more(sums.size());
    for (std::size_t i = 0; i < more.size(); ++i) more[i] = static_cast<float>(i);
    const ModelLauncher launcher;
    launcher.add({.sums = sums.data(), .more = more.data(), .count = count}, *device::cpu_stream());
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ASSERT_EQ(sums[i], static_cast<float>(i) - 3.0F) << i << " of " << count;
    }
    EXPECT_EQ(sums.back(), -3.0F) << "past the end of " << count;
  }
}

}  // namespace
}  // namespace annulus::test
