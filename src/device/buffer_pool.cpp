#include "annulus/device/buffer_pool.hpp"

#include <algorithm>
#include <utility>

namespace annulus::device {

Buffer BufferPool::take(std::size_t bytes) {
  if (bytes == 0) return {};
  // The smallest that fits.
  auto best = free_.end();
  for (auto buffer = free_.begin(); buffer != free_.end(); ++buffer) {
    if (buffer->size() < bytes) continue;
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
