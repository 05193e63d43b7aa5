#pragma once
// Tensors on their way to a device, within it and back.

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::device {

/// Calls visit(RowCopy) for pieces that together copy `from` to `to`, of the same shape and type:
/// one where the heads of a row lie without gaps on both sides, else one for each head.
template <class Visit>
void for_each_piece(TensorView to, ConstTensorView from, const Visit& visit) {
  ensure(to.type == from.type && to.has_shape(from.rows, from.heads, from.dim),
         "a tensor is copied to one of its own shape and type");
  if (from.rows == 0 || from.heads == 0 || from.dim == 0) return;
  const auto bytes = [&](Index elements) {
    return static_cast<std::size_t>(elements) * size_of(from.type);
  };
  const bool dense = (to.head_stride == to.dim && from.head_stride == from.dim) || from.heads == 1;
  const Index pieces = dense ? 1 : from.heads;
  for (Index h = 0; h < pieces; ++h) {
    visit(RowCopy{static_cast<std::byte*>(to.data) + bytes(h * to.head_stride),
                  bytes(to.row_stride),
                  static_cast<const std::byte*>(from.data) + bytes(h * from.head_stride),
                  bytes(from.row_stride), bytes(dense ? from.heads * from.dim : from.dim),
                  static_cast<std::size_t>(from.rows)});
  }
}

/// As Stream::copy, Stream::upload and Stream::download.
inline void copy(Stream& stream, TensorView to, ConstTensorView from) {
  for_each_piece(to, from, [&](const RowCopy& piece) { stream.copy(piece); });
}
inline void upload(Stream& stream, TensorView to, ConstTensorView from) {
  for_each_piece(to, from, [&](const RowCopy& piece) { stream.upload(piece); });
}
inline void download(Stream& stream, TensorView to, ConstTensorView from) {
  for_each_piece(to, from, [&](const RowCopy& piece) { stream.download(piece); });
}

/// Enqueues to set all elements to 0.
inline void clear(Stream& stream, TensorView tensor) {
  const auto bytes = [&](Index elements) {
    return static_cast<std::size_t>(elements) * size_of(tensor.type);
  };
  auto* const data = static_cast<std::byte*>(tensor.data);
  if (is_dense(tensor)) {
    stream.clear(data, bytes(tensor.rows * tensor.heads * tensor.dim));
    return;
  }
  for (Index i = 0; i < tensor.rows; ++i) {
    for (Index h = 0; h < tensor.heads; ++h) {
      stream.clear(data + bytes(i * tensor.row_stride + h * tensor.head_stride), bytes(tensor.dim));
    }
  }
}

}  // namespace annulus::device
