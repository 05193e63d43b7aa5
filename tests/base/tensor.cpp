#include "annulus/base/tensor.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace annulus {
namespace {

TEST(Tensor, IsDenseAlignedAndZero) {
  Tensor tensor(DataType::float64, 7, 3, 5);
  const auto view = tensor.view();
  EXPECT_TRUE(view.has_shape(7, 3, 5));
  EXPECT_EQ(view.row_stride, 15);
  EXPECT_EQ(view.head_stride, 5);
  EXPECT_EQ(tensor.bytes(), 7U * 3 * 5 * 8);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 64, 0U);
  for (Index i = 0; i < 7 * 3 * 5; ++i) EXPECT_EQ(view.row<double>(0, 0)[i], 0);
}

TEST(Tensor, MayHaveNoRows) {
  const Tensor tensor(DataType::bfloat16, 0, 3, 5);
  EXPECT_TRUE(tensor.view().present());
  EXPECT_EQ(tensor.view().rows, 0);
  EXPECT_EQ(tensor.bytes(), 0U);
  EXPECT_FALSE(Tensor().view().present());
  EXPECT_THROW(Tensor(DataType::float32, -1, 3, 5), Error);
}

TEST(Tensor, KeepsItsElementsWhenItMoves) {
  Tensor tensor(DataType::float32, 2, 1, 1);
  *tensor.view().row<float>(1, 0) = 7;
  const Tensor moved = std::move(tensor);
  EXPECT_EQ(*moved.view().row<float>(1, 0), 7);
}

TEST(Tensor, NumbersAreThoseOfTheRowsWithoutTheirGaps) {
  std::vector<float> values(2 * 11);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const ConstTensorView gapped{values.data(), DataType::float32, 2, 2, 3, 11, 5};
  EXPECT_EQ(numbers_of(gapped), (std::vector<double>{0, 1, 2, 5, 6, 7, 11, 12, 13, 16, 17, 18}));
  EXPECT_TRUE(numbers_of({}).empty());
}

}  // namespace
}  // namespace annulus
