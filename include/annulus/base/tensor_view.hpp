#pragma once
// Borrowed views of attention tensors: (rows, heads, dim) with strides, innermost contiguous.

#include <cstddef>
#include <type_traits>

#include "annulus/base/data_type.hpp"
#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"

namespace annulus {

/// A borrowed tensor of shape (rows, heads, dim). Element (i, h, c) lies at
/// data + i * row_stride + h * head_stride + c, counted in elements. A table with one number per
/// row and head, such as lse, has dim = 1. `Void` is `void` or `const void`.
template <class Void>
struct BasicTensorView {
  Void* data = nullptr;
  DataType type = DataType::float32;
  Index rows = 0;
  Index heads = 0;
  Index dim = 0;
  Index row_stride = 0;
  Index head_stride = 0;

  /// Whether there is a tensor at all: optional arguments are views without one.
  [[nodiscard]] bool present() const { return heads != 0; }

  [[nodiscard]] bool has_shape(Index r, Index h, Index d) const {
    return rows == r && heads == h && dim == d;
  }

  /// Elements of row i, head h. Throws Error when T is not the element type.
  template <class T>
  [[nodiscard]] auto* row(Index i, Index h) const {
    using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
    ensure(type == data_type_of<T>, "a tensor is read as another type than its own");
    return static_cast<Element*>(data) + i * row_stride + h * head_stride;
  }

  /// A mutable view serves wherever a constant one is expected.
  operator BasicTensorView<const void>() const requires(!std::is_const_v<Void>) {
    return {data, type, rows, heads, dim, row_stride, head_stride};
  }
};

/// Whether its elements lie row-major without gaps.
template <class Void>
[[nodiscard]] bool is_dense(const BasicTensorView<Void>& view) {
  return view.head_stride == view.dim && view.row_stride == view.heads * view.dim;
}

using TensorView = BasicTensorView<void>;
using ConstTensorView = BasicTensorView<const void>;

/// A view of a dense row-major array (rows, heads, dim).
template <class T>
[[nodiscard]] auto dense_view(T* data, Index rows, Index heads, Index dim) {
  using Void = std::conditional_t<std::is_const_v<T>, const void, void>;
  return BasicTensorView<Void>{data, data_type_of<T>, rows, heads, dim, heads * dim, dim};
}

}  // namespace annulus
