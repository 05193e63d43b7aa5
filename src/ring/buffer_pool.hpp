#pragma once
// Memory that outlives a pass, so that the next one does not ask the system for it again.

#include <cstddef>
#include <vector>

namespace annulus::ring {

using Buffer = std::vector<std::byte>;

/// Buffers that are not in use. What they hold is left over from their last use.
class BufferPool {
 public:
  /// A buffer of at least `bytes`.
  [[nodiscard]] Buffer take(std::size_t bytes);
  /// Takes a buffer back.
  void give(Buffer buffer);
  /// Makes sure that `buffer` has at least `bytes`; what it holds may be lost.
  void ensure_size(Buffer& buffer, std::size_t bytes);

 private:
  std::vector<Buffer> free_;
};

}  // namespace annulus::ring
