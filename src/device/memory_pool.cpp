#include "device/memory_pool.hpp"

#include <cstdint>
#include <map>
#include <mutex>

#include "device/cuda_check.hpp"

namespace annulus::device {

std::shared_ptr<MemoryPool> MemoryPool::of(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<MemoryPool>> pools;
  const std::lock_guard lock(mutex);
  auto& known = pools[index];
  auto pool = known.lock();
  if (!pool) known = pool = std::make_shared<MemoryPool>(index);
  return pool;
}

MemoryPool::MemoryPool(int index) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;  // of the device: it is the only type
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = index;
  check_cuda(cudaMemPoolCreate(&pool_, &properties), "cudaMemPoolCreate");
  try {
    configure(index);
  } catch (...) {
    static_cast<void>(cudaMemPoolDestroy(pool_));
    throw;
  }
}

MemoryPool::~MemoryPool() {
  static_cast<void>(cudaMemPoolDestroy(pool_));
}

void MemoryPool::configure(int index) const {
  // Without it, what is free goes back to the driver whenever a stream waits.
  std::uint64_t all = ~std::uint64_t{0};
  check_cuda(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &all),
             "cudaMemPoolSetAttribute");
  int gpus = 0;
  check_cuda(cudaGetDeviceCount(&gpus), "cudaGetDeviceCount");
  for (int other = 0; other < gpus; ++other) {
    int can = 0;
    if (other == index) continue;
    check_cuda(cudaDeviceCanAccessPeer(&can, other, index), "cudaDeviceCanAccessPeer");
    if (can == 0) continue;
    cudaMemAccessDesc access{};
    access.location.type = cudaMemLocationTypeDevice;
    access.location.id = other;
    access.flags = cudaMemAccessFlagsProtReadWrite;
    check_cuda(cudaMemPoolSetAccess(pool_, &access, 1), "cudaMemPoolSetAccess");
  }
}

void MemoryPool::release() noexcept {
  static_cast<void>(cudaMemPoolTrimTo(pool_, 0));
}

}  // namespace annulus::device
