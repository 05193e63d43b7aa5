#include "device/pinned_pool.hpp"

#include <algorithm>
#include <bit>

#include "annulus/base/error.hpp"
#include "device/cuda_check.hpp"

namespace annulus::device {

PinnedPool::~PinnedPool() {
  for (const auto& block : blocks_) static_cast<void>(cudaFreeHost(block.data));
}

std::byte* PinnedPool::take(std::size_t bytes) {
  Block* best = nullptr;
  for (auto& block : blocks_) {
    if (block.taken || block.size < bytes || (best != nullptr && best->size <= block.size))
      continue;
    if (block.free_after == nullptr || block.free_after->reached()) best = &block;
  }
  if (best == nullptr) {
    // Powers of two, so that shards of nearly the same length share blocks.
    const std::size_t size = std::bit_ceil(std::max<std::size_t>(bytes, 4096));
    void* data = nullptr;
    check_cuda(cudaHostAlloc(&data, size, cudaHostAllocPortable), "cudaHostAlloc");
    best = &blocks_.emplace_back(Block{static_cast<std::byte*>(data), size, false, nullptr});
  }
  best->taken = true;
  best->free_after.reset();
  return best->data;
}

void PinnedPool::give(std::byte* data, std::shared_ptr<const Event> event) {
  const auto block = std::ranges::find(blocks_, data, &Block::data);
  ensure(block != blocks_.end(), "pinned memory is given back to the stream that it came from");
  block->taken = false;
  block->free_after = std::move(event);
}

}  // namespace annulus::device
