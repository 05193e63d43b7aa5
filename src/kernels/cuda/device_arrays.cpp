#include "kernels/cuda/device_arrays.hpp"

#include <algorithm>
#include <cstdint>

#include "annulus/base/narrow.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus::kernels::gpu {
namespace {

constexpr std::size_t alignment = 16;

bool is_aligned(ConstTensorView tensor) {
  const auto starts = [&](Index stride) {
    return static_cast<std::size_t>(stride) * size_of(tensor.type) % alignment == 0;
  };
  return reinterpret_cast<std::uintptr_t>(tensor.data) % alignment == 0 &&
         starts(tensor.row_stride) && starts(tensor.head_stride);
}

std::size_t bytes_of(ConstTensorView tensor) {
  return static_cast<std::size_t>(tensor.rows * tensor.heads * tensor.dim) * size_of(tensor.type);
}

TensorView dense_floats(std::byte* data, Index rows, Index heads, Index dim) {
  return {data, DataType::float32, rows, heads, dim, heads * dim, dim};
}

}  // namespace

DeviceArray<float> upload_narrowed(const StreamPointer& stream, std::span<const double> numbers) {
  std::vector<float> narrowed(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) narrowed[i] = static_cast<float>(numbers[i]);
  return {stream, std::span<const float>(narrowed)};
}

DeviceTiles::DeviceTiles(const StreamPointer& stream, const TileList& list)
    : work_(stream, std::span(list.work)),
      visits_(stream, std::span(list.visits)),
      count_(narrow<int>(std::ssize(list.work))) {}

DeviceTileList DeviceTiles::view() const {
  return {work_.data(), visits_.data(), count_};
}

AlignedRows::AlignedRows(const StreamPointer& stream, ConstTensorView tensor) {
  if (!is_aligned(tensor)) {
    const auto elements = static_cast<Index>(alignment / size_of(tensor.type));
    TensorView copies{.type = tensor.type,
                      .rows = tensor.rows,
                      .heads = tensor.heads,
                      .dim = tensor.dim,
                      .head_stride = ceil_div(tensor.dim, elements) * elements};
    copies.row_stride = copies.heads * copies.head_stride;
    copies_ = device::Buffer(
        stream, static_cast<std::size_t>(copies.rows * copies.row_stride) * size_of(copies.type));
    copies.data = copies_.data();
    device::copy(*stream, copies, tensor);
    tensor = copies;
  }
  rows_ = {tensor.data, tensor.row_stride, tensor.head_stride, narrow<int>(tensor.dim)};
}

DenseInput::DenseInput(const StreamPointer& stream, ConstTensorView tensor)
    : data_(static_cast<const float*>(tensor.data)) {
  ensure(tensor.type == DataType::float32, "sums on a GPU are fp32");
  if (is_dense(tensor)) return;
  copies_ = device::Buffer(stream, bytes_of(tensor));
  device::copy(*stream, dense_floats(copies_.data(), tensor.rows, tensor.heads, tensor.dim),
               tensor);
  data_ = reinterpret_cast<const float*>(copies_.data());
}

float* dense_sums(TensorView tensor) {
  ensure(tensor.type == DataType::float32 && is_dense(tensor),
         "sums on a GPU are fp32, without gaps");
  return static_cast<float*>(tensor.data);
}

LongSums::LongSums(const StreamPointer& stream, TensorView sums, bool keeps_low, bool starts)
    : high_(dense_sums(sums)),
      low_(stream, keeps_low ? sums.rows * sums.heads * sums.dim : 0),
      starts_(starts) {
  ensure(!(keeps_low && starts), "sums of several panels start from zeros");
  if (low_.bytes() > 0) stream->clear(low_.data(), low_.bytes());
}

DenseOutput::DenseOutput(const StreamPointer& stream, TensorView tensor)
    : stream_(stream), tensor_(tensor), data_(static_cast<float*>(tensor.data)) {
  if (!tensor.present()) return;
  ensure(tensor.type == DataType::float32, "sums on a GPU are fp32");
  if (is_dense(tensor)) return;
  copies_ = device::Buffer(stream, bytes_of(tensor));
  data_ = reinterpret_cast<float*>(copies_.data());
}

void DenseOutput::finish() const {
  if (copies_.empty()) return;
  device::copy(*stream_, tensor_,
               dense_floats(copies_.data(), tensor_.rows, tensor_.heads, tensor_.dim));
}

}  // namespace annulus::kernels::gpu
