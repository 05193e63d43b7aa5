#pragma once
// The memory of a pass: arrays side by side in a buffer that outlives it.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "annulus/base/index.hpp"
#include "annulus/device/buffer_pool.hpp"
#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// Places for arrays, one after the other, aligned to vectors. Without memory they are only
/// counted.
class ArrayPlaces {
 public:
  explicit ArrayPlaces(std::byte* memory = nullptr) : memory_(memory) {}

  /// Bytes of all places so far.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Room for `count` elements, which hold whatever was there.
  template <class T>
  [[nodiscard]] T* take(Index count) {
    constexpr std::size_t alignment = 64;
    std::byte* at = memory_ == nullptr ? nullptr : memory_ + bytes_;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return reinterpret_cast<T*>(at);
  }

  /// The same, all of them `value`.
  template <class T>
  [[nodiscard]] T* filled(Index count, T value = T()) {
    T* at = take<T>(count);
    if (at != nullptr) std::fill_n(at, count, value);
    return at;
  }

 private:
  std::byte* memory_;
  std::size_t bytes_ = 0;
};

/// A buffer of a pool, which gets it back in the end.
class PassMemory {
 public:
  PassMemory() = default;
  /// Calls place(places) twice, first to count.
  template <class Place>
  PassMemory(std::shared_ptr<device::BufferPool> pool, const Place& place)
      : pool_(std::move(pool)) {
    ArrayPlaces counted;
    place(counted);
    buffer_ = pool_->take(counted.bytes());
    ArrayPlaces places(buffer_.data());
    place(places);
  }
  PassMemory(PassMemory&& other) noexcept { swap(other); }
  PassMemory& operator=(PassMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  PassMemory(const PassMemory&) = delete;
  PassMemory& operator=(const PassMemory&) = delete;
  ~PassMemory() { give_back(); }

  void give_back() {
    if (!buffer_.empty()) pool_->give(std::exchange(buffer_, {}));
  }

 private:
  void swap(PassMemory& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(buffer_, other.buffer_);
  }

  std::shared_ptr<device::BufferPool> pool_;
  device::Buffer buffer_;
};

/// Where a pass with these options takes its memory.
[[nodiscard]] inline std::shared_ptr<device::BufferPool> pool_of(const PassOptions& options) {
  return options.memory != nullptr ? options.memory
                                   : std::make_shared<device::BufferPool>(options.stream);
}

}  // namespace annulus::kernels
