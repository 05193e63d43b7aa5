#include "annulus/device/buffer_pool.hpp"

#include <algorithm>
#include <utility>

namespace annulus::device {

namespace {

constexpr std::size_t little = 8 << 20;

}  // namespace

Buffer BufferPool::take(std::size_t bytes) {
  if (bytes == 0) return {};
  // The smallest that fits, but none that would be wasted on so little.
  const std::size_t most = bytes + std::max(bytes, little);
  auto best = free_.end();
  for (auto buffer = free_.begin(); buffer != free_.end(); ++buffer) {
    if (buffer->size() < bytes || buffer->size() > most) continue;
    if (best == free_.end() || buffer->size() < best->size()) best = buffer;
  }
  if (best == free_.end()) {
    // Two kinds of passes in turn keep what both are short of; what is large goes, as it is new
    // memory that costs, and a large pass takes longer than that.
    std::size_t kept = 0;
    for (const auto& buffer : free_) kept += buffer.size();
    while (kept > little) {
      kept -= free_.front().size();
      free_.erase(free_.begin());
    }
    return {stream_, bytes, allocation_};
  }
  auto taken = std::move(*best);
  free_.erase(best);
  return taken;
}

void BufferPool::give(Buffer buffer) {
  if (!buffer.empty()) free_.push_back(std::move(buffer));
}

}  // namespace annulus::device
