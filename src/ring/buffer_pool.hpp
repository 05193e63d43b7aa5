#pragma once
// Memory that outlives a pass, so that the next one does not ask the system for it again.

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "annulus/device/buffer.hpp"

namespace annulus::ring {

using device::Buffer;

/// Buffers that are not in use. What they hold is left over from their last use.
class BufferPool {
 public:
  /// Of the memory of the device of `stream`.
  explicit BufferPool(std::shared_ptr<device::Stream> stream) : stream_(std::move(stream)) {}

  [[nodiscard]] const std::shared_ptr<device::Stream>& stream() const { return stream_; }

  /// A buffer of at least `bytes`.
  [[nodiscard]] Buffer take(std::size_t bytes);
  /// Takes a buffer back.
  void give(Buffer buffer);

 private:
  std::shared_ptr<device::Stream> stream_;
  std::vector<Buffer> free_;
};

}  // namespace annulus::ring
