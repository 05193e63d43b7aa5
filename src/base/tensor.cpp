#include "annulus/base/tensor.hpp"

#include <cstring>
#include <string>

#include <fmt/format.h>

namespace annulus {
namespace {

/// What operator new throws, with the bytes that were wanted.
class OutOfMemory final : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) : what_(fmt::format("{} bytes for a tensor", bytes)) {}
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

}  // namespace

Tensor::Tensor(DataType type, Index rows, Index heads, Index dim) {
  ensure(rows >= 0 && heads >= 0 && dim >= 0, "a tensor has a negative dimension");
  shape_ = {nullptr, type, rows, heads, dim, heads * dim, dim};
  data_.reset(
      static_cast<std::byte*>(::operator new (bytes(), std::align_val_t{64}, std::nothrow)));
  if (data_ == nullptr) throw OutOfMemory(bytes());
  std::memset(data_.get(), 0, bytes());
}

std::size_t Tensor::bytes() const {
  return static_cast<std::size_t>(shape_.rows * shape_.row_stride) * size_of(shape_.type);
}

std::vector<double> numbers_of(ConstTensorView tensor) {
  std::vector<double> numbers;
  numbers.reserve(static_cast<std::size_t>(tensor.rows * tensor.heads * tensor.dim));
  with_element(tensor.type, [&]<class T>() {
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        const T* row = tensor.row<T>(i, h);
        numbers.insert(numbers.end(), row, row + tensor.dim);
      }
    }
  });
  return numbers;
}

}  // namespace annulus
