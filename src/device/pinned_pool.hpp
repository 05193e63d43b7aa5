#pragma once
// Pinned memory that is used again: the system takes milliseconds to pin some.

#include <cstddef>
#include <memory>
#include <vector>

#include "annulus/device/stream.hpp"

namespace annulus::device {

/// Blocks that were given back, each with the event after which it is free. Not thread-safe, as the
/// stream that owns it.
class PinnedPool {
 public:
  PinnedPool() = default;
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;
  /// All work that uses the blocks is done, and all blocks have been given back.
  ~PinnedPool();

  /// A block of at least `bytes`.
  [[nodiscard]] std::byte* take(std::size_t bytes);
  /// Takes a block back that is in use until `event`.
  void give(std::byte* data, std::shared_ptr<const Event> event);

 private:
  struct Block {
    std::byte* data;
    std::size_t size;
    bool taken;
    std::shared_ptr<const Event> free_after;
  };
  std::vector<Block> blocks_;
};

}  // namespace annulus::device
