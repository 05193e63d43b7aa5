#pragma once
// Tensors that own their elements.

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "annulus/base/tensor_view.hpp"

namespace annulus {

/// An owned dense tensor (rows, heads, dim) in any data type, row-major, aligned to cache lines.
/// Zeros at first.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DataType type, Index rows, Index heads, Index dim);

  [[nodiscard]] TensorView view() {
    TensorView view = shape_;
    view.data = data_.get();
    return view;
  }
  [[nodiscard]] ConstTensorView view() const {
    ConstTensorView view = shape_;
    view.data = data_.get();
    return view;
  }
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  TensorView shape_;  ///< without data
};

/// The elements of a tensor of the host in fp64, row-major; none where it is absent.
[[nodiscard]] std::vector<double> numbers_of(ConstTensorView tensor);

}  // namespace annulus
