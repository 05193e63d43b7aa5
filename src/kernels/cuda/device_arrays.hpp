#pragma once
// Arrays in device memory, in the forms that kernels take them.

#include <memory>
#include <span>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer.hpp"
#include "kernels/cuda/arguments.hpp"

namespace annulus::kernels::gpu {

using StreamPointer = std::shared_ptr<device::Stream>;

/// `count` elements; undefined at first.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(const StreamPointer& stream, Index count)
      : buffer_(stream, static_cast<std::size_t>(count) * sizeof(T)) {}

  /// A copy of what the host has, enqueued.
  DeviceArray(const StreamPointer& stream, std::span<const T> host)
      : DeviceArray(stream, static_cast<Index>(host.size())) {
    if (!host.empty()) {
      stream->upload(device::RowCopy::of_bytes(buffer_.data(), host.data(), host.size_bytes()));
    }
  }

  /// Null where there are no elements.
  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  [[nodiscard]] std::size_t bytes() const { return buffer_.size(); }

 private:
  device::Buffer buffer_;
};

/// fp32 copies of numbers of the host.
[[nodiscard]] DeviceArray<float> upload_narrowed(const StreamPointer& stream,
                                                 std::span<const double> numbers);

/// A list of tiles.
class DeviceTiles {
 public:
  DeviceTiles(const StreamPointer& stream, const TileList& list);
  [[nodiscard]] DeviceTileList view() const;
  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  DeviceArray<TileWork> work_;
  DeviceArray<TileVisit> visits_;
  int count_;
};

/// Rows that start at multiples of 16 bytes: those of a tensor itself, or copies.
class AlignedRows {
 public:
  AlignedRows(const StreamPointer& stream, ConstTensorView tensor);
  [[nodiscard]] const InputRows& rows() const { return rows_; }

 private:
  device::Buffer copies_;
  InputRows rows_;
};

/// fp32 rows without gaps: those of a tensor itself, or copies.
class DenseInput {
 public:
  DenseInput(const StreamPointer& stream, ConstTensorView tensor);
  [[nodiscard]] const float* data() const { return data_; }

 private:
  device::Buffer copies_;
  const float* data_;
};

/// The numbers of sums, fp32 without gaps, that kernels add to.
[[nodiscard]] float* dense_sums(TensorView tensor);

/// Such sums with what rounding takes from them, which is 0 at first and forgotten at the end; or
/// without, where that is never added to again, and which then may start with what is added.
class LongSums {
 public:
  LongSums(const StreamPointer& stream, TensorView sums, bool keeps_low, bool starts);
  [[nodiscard]] DeviceSums view() const { return {high_, low_.data(), starts_}; }

 private:
  float* high_;
  DeviceArray<float> low_;
  bool starts_;
};

/// Where a kernel writes fp32 rows without gaps that are to be in a tensor, which may be absent.
class DenseOutput {
 public:
  DenseOutput(const StreamPointer& stream, TensorView tensor);
  /// Null where the tensor is absent.
  [[nodiscard]] float* data() const { return data_; }
  /// Enqueues to bring what was written to the tensor.
  void finish() const;

 private:
  StreamPointer stream_;
  TensorView tensor_;
  device::Buffer copies_;
  float* data_;
};

}  // namespace annulus::kernels::gpu
