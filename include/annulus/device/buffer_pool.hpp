#pragma once
// Memory that outlives its use, so that the next one does not ask the system for it again.

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "annulus/device/buffer.hpp"

namespace annulus::device {

/// Buffers that are not in use. What they hold is left over from their last use. Called by one
/// thread at a time.
class BufferPool {
 public:
  /// Of the memory of the device of `stream`.
  explicit BufferPool(std::shared_ptr<Stream> stream,
                      Allocation allocation = Allocation::stream_ordered)
      : stream_(std::move(stream)), allocation_(allocation) {}

  [[nodiscard]] const std::shared_ptr<Stream>& stream() const { return stream_; }

  /// A buffer of at least `bytes`. Where none fits, a few megabytes stay of those that do not.
  [[nodiscard]] Buffer take(std::size_t bytes);
  /// Takes a buffer back.
  void give(Buffer buffer);

 private:
  std::shared_ptr<Stream> stream_;
  Allocation allocation_;
  std::vector<Buffer> free_;
};

}  // namespace annulus::device
