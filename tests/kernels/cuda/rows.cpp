// The kernels that go over rows or numbers one by one, on the model of a thread block.
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/model_launcher.hpp"
#include "support/tensor.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// Rows as kernels take them: aligned to 16 bytes, with gaps of NaN that nobody may read.
template <class T>
class AlignedRows {
 public:
  explicit AlignedRows(const Tensor<T>& tensor)
      : head_stride_((ceil_div(tensor.dim, elements) + 1) * elements),
        row_stride_(tensor.heads * head_stride_ + elements),
        dim_(static_cast<int>(tensor.dim)),
        values_(static_cast<std::size_t>(tensor.rows * row_stride_),
                T(std::numeric_limits<double>::quiet_NaN())) {
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        for (Index c = 0; c < tensor.dim; ++c) {
          values_[static_cast<std::size_t>(i * row_stride_ + h * head_stride_ + c)] =
              tensor.at(i, h, c);
        }
      }
    }
  }
  [[nodiscard]] gpu::InputRows rows() const {
    return {values_.data(), row_stride_, head_stride_, dim_};
  }

 private:
  static constexpr Index elements = 16 / sizeof(T);
  Index head_stride_;
  Index row_stride_;
  int dim_;
  std::vector<T> values_;
};

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

/// A number for each row, or for each row and head, apart from one another by `gap`.
void expect_scales(Index rows, Index heads, Index columns, Index gap) {
  SCOPED_TRACE(std::to_string(rows) + " rows, " + std::to_string(heads) + " heads, " +
               std::to_string(columns) + " columns, gap " + std::to_string(gap));
  std::mt19937_64 random(static_cast<unsigned>(rows));
  const auto numbers = random_tensor<double>(random, rows, columns, gap + 1, 1e3);
  const auto factors = random_tensor<double>(random, 1, heads, 1);
  std::vector<float> scale(static_cast<std::size_t>(rows * heads) + 1, -7.0F);
  const ModelLauncher launcher;
  launcher.write({.row_numbers = numbers.values.data(),
                  .row_stride = columns * (gap + 1),
                  .head_stride = columns == 1 ? 0 : gap + 1,
                  .head_factors = factors.values.data(),
                  .rows = static_cast<int>(rows),
                  .heads = static_cast<int>(heads),
                  .scale = scale.data()},
                 *device::cpu_stream());
  std::size_t at = 0;
  for (Index i = 0; i < rows; ++i) {
    for (Index h = 0; h < heads; ++h, ++at) {
      const double number = numbers.at(i, columns == 1 ? 0 : h, 0);
      ASSERT_EQ(scale[at], static_cast<float>(factors.at(0, h, 0) * number)) << i << ", " << h;
    }
  }
  EXPECT_EQ(scale[at], -7.0F) << "past the end";
}

TEST(CudaRows, Scales) {
  for (const Index rows : {0, 1, 255, 342, 1025}) {
    for (const Index gap : {0, 2}) {
      expect_scales(rows, 3, 1, gap);
      expect_scales(rows, 3, 3, gap);
      expect_scales(rows, 1, 1, gap);
    }
  }
}

/// <dout, along> is the mean but for a rounding of each element, which all have one sign.
template <class T>
void expect_along(Index rows, Index heads, Index dim, double size) {
  SCOPED_TRACE(std::to_string(dim) + " elements of " + std::to_string(size));
  std::mt19937_64 random(static_cast<unsigned>(dim));
  auto dout = random_tensor<T>(random, rows, heads, dim, size);
  for (Index c = 0; c < dim; ++c) dout.at(0, 0, c) = T(0.0);
  auto mean = random_tensor<float>(random, rows, heads, 1, size);
  mean.at(0, 0, 0) = 0;
  const AlignedRows<T> aligned(dout);
  std::vector<T> along(static_cast<std::size_t>(rows * heads * dim) + 1, T(-7.0));
  const ModelLauncher launcher;
  launcher.along(data_type_of<T>,
                 {.dout = aligned.rows(),
                  .mean = mean.values.data(),
                  .rows = static_cast<int>(rows),
                  .heads = static_cast<int>(heads),
                  .along = along.data()},
                 *device::cpu_stream());
  std::size_t at = 0;
  for (Index i = 0; i < rows; ++i) {
    for (Index h = 0; h < heads; ++h) {
      double product = 0;
      double length = 0;
      for (Index c = 0; c < dim; ++c, ++at) {
        const auto element = static_cast<double>(dout.at(i, h, c));
        product += element * static_cast<double>(along[at]);
        length += std::abs(element);
      }
      // fp16 has numbers of 2^-24 and more.
      const auto exact = static_cast<double>(mean.at(i, h, 0));
      const double least = data_type_of<T> == DataType::float16 ? 0x1p-25 * length : 0;
      ASSERT_NEAR(product, exact,
                  std::abs(exact) * (unit_roundoff(data_type_of<T>) + 0x1p-19) + least)
          << i << ", " << h;
    }
  }
  EXPECT_EQ(static_cast<float>(along[at]), -7.0F) << "past the end";
}

TEST(CudaRows, AlongAnotherVectorWithAProduct) {
  for (const Index dim : {8, 24, 64, 72, 128, 256}) {
    expect_along<BFloat16>(5, 3, dim, 1);
    expect_along<Float16>(4, 2, dim, 1);
  }
  // Squares of these are no numbers of fp32.
  for (const double size : {1e-25, 1e25}) expect_along<BFloat16>(3, 2, 40, size);
}

TEST(CudaRows, Transposed) {
  for (const auto& [rows, heads] :
       {std::pair<Index, Index>{1, 1}, {7, 3}, {3, 1}, {1, 5}, {1024, 2}, {513, 4}}) {
    std::vector<float> from(static_cast<std::size_t>(rows * heads));
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i);
    std::vector<float> to(from.size() + 1, -3.0F);
    const ModelLauncher launcher;
    launcher.transpose({.from = from.data(), .to = to.data(), .rows = rows, .heads = heads},
                       *device::cpu_stream());
    for (Index i = 0; i < rows; ++i) {
      for (Index h = 0; h < heads; ++h) {
        ASSERT_EQ(to[static_cast<std::size_t>(h * rows + i)],
                  from[static_cast<std::size_t>(i * heads + h)])
            << i << ", " << h << " of " << rows;
      }
    }
    EXPECT_EQ(to.back(), -3.0F) << "past the end of " << rows;
  }
}

/// after = before + piece, with sums of their own and in place.
template <class T>
void expect_pieces_added(Index count, Index first, Index piece_count) {
  SCOPED_TRACE(std::to_string(first) + " and " + std::to_string(piece_count) + " more of " +
               std::to_string(count));
  std::vector<float> before(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = static_cast<float>(i);
  std::vector<T> piece;
  for (Index i = 0; i < piece_count; ++i) piece.emplace_back(static_cast<double>(1 + i % 100));
  const ModelLauncher launcher;
  for (const bool from_zero : {true, false}) {
    std::vector<float> after(before.size() + 1, -3.0F);
    launcher.add(data_type_of<T>,
                 {.before = from_zero ? nullptr : before.data(),
                  .piece = piece.data(),
                  .first = first,
                  .piece_count = piece_count,
                  .after = after.data(),
                  .count = count},
                 *device::cpu_stream());
    for (Index i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool in_piece = i >= first && i < first + piece_count;
      ASSERT_EQ(after[at], (from_zero ? 0.0F : before[at]) +
                               (in_piece ? static_cast<float>(1 + (i - first) % 100) : 0.0F))
          << i;
    }
    EXPECT_EQ(after.back(), -3.0F) << "past the end";
  }
}

TEST(CudaRows, PiecesOfSums) {
  for (const Index count : {1, 1023, 1024, 2500}) {
    expect_pieces_added<BFloat16>(count, 0, count);
    expect_pieces_added<Float16>(count, count / 3, count / 2);
    expect_pieces_added<BFloat16>(count, 0, 0);
  }
}

TEST(CudaRows, Additions) {
  for (const Index count : {0, 1, 255, 256, 257, 1023, 1024, 1025, 4099}) {
    std::vector<float> sums(static_cast<std::size_t>(count) + 1, -3.0F);
    std::vector<float> more(sums.size());
    for (std::size_t i = 0; i < more.size(); ++i) more[i] = static_cast<float>(i);
    const ModelLauncher launcher;
    launcher.add({.sums = sums.data(), .more = more.data(), .factor = -2, .count = count},
                 *device::cpu_stream());
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ASSERT_EQ(sums[i], -2.0F * static_cast<float>(i) - 3.0F) << i << " of " << count;
    }
    EXPECT_EQ(sums.back(), -3.0F) << "past the end of " << count;
  }
}

}  // namespace
}  // namespace annulus::test
