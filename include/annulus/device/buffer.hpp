#pragma once
// Memory of a device, owned.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "annulus/device/stream.hpp"

namespace annulus::device {

/// Bytes in the memory of the device of a stream, which it keeps alive. What it holds is undefined
/// at first. Using them from another stream is up to events.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Stream> stream, std::size_t bytes,
         Allocation allocation = Allocation::stream_ordered);
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  /// Enqueues a copy.
  Buffer(const Buffer& other);
  Buffer& operator=(const Buffer& other) {
    *this = Buffer(other);
    return *this;
  }
  ~Buffer();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(stream_, other.stream_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(allocation_, other.allocation_);
  }

  std::shared_ptr<Stream> stream_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Allocation allocation_ = Allocation::stream_ordered;
};

}  // namespace annulus::device
