#include "annulus/device/buffer_pool.hpp"

#include <algorithm>
#include <utility>

namespace annulus::device {

Buffer BufferPool::take(std::size_t bytes) {
  if (bytes == 0) return {};
  // The smallest that fits, but none that would be wasted on so little.
  constexpr std::size_t little = 8 << 20;
  const std::size_t most = bytes + std::max(bytes, little);
  auto best = free_.end();
  for (auto buffer = free_.begin(); buffer != free_.end(); ++buffer) {
    if (buffer->size() < bytes || buffer->size() > most) continue;
    if (best == free_.end() || buffer->size() < best->size()) best = buffer;
  }
  if (best == free_.end()) {
    // None does, and none will be of use: shapes do not change from pass to pass.
    free_.clear();
    return {stream_, bytes};
  }
  auto taken = std::move(*best);
  free_.erase(best);
  return taken;
}

void BufferPool::give(Buffer buffer) {
  if (!buffer.empty()) free_.push_back(std::move(buffer));
}

}  // namespace annulus::device
