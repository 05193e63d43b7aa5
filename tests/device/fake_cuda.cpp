#include "device/fake_cuda.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

namespace annulus::test {
namespace {

/// Where memory came from; null: cudaMalloc.
std::map<void*, FakeCuda::Pool*>& origins() {
  static std::map<void*, FakeCuda::Pool*> all;
  return all;
}

FakeCuda::Pool* pool_of(cudaMemPool_t pool) {
  return reinterpret_cast<FakeCuda::Pool*>(pool);
}

cudaError_t noted(const char* call) {
  FakeCuda::get().calls.emplace_back(call);
  return cudaSuccess;
}

void* new_memory(std::size_t bytes) {
  return std::aligned_alloc(256, (bytes + 255) / 256 * 256);
}

}  // namespace

FakeCuda& FakeCuda::get() {
  static FakeCuda cuda;
  return cuda;
}

}  // namespace annulus::test

using annulus::test::FakeCuda;
using annulus::test::new_memory;
using annulus::test::noted;
using annulus::test::origins;
using annulus::test::pool_of;

extern "C" {

cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t code) {
  return code == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "another";
}
const char* cudaGetErrorString(cudaError_t) {
  return "as the test has it";
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = FakeCuda::get().gpus;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
/// The last GPU is on its own.
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = std::max(device, peer) + 1 < FakeCuda::get().gpus ? 1 : 0;
  return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  auto* made = new FakeCuda::Pool{.device = properties->location.id};
  FakeCuda::get().pools.push_back(made);
  *pool = reinterpret_cast<cudaMemPool_t>(made);
  return noted("cudaMemPoolCreate");
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  std::erase(FakeCuda::get().pools, pool_of(pool));
  delete pool_of(pool);
  return noted("cudaMemPoolDestroy");
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (attribute == cudaMemPoolAttrReleaseThreshold) {
    std::memcpy(&pool_of(pool)->threshold, value, sizeof(pool_of(pool)->threshold));
  }
  return noted("cudaMemPoolSetAttribute");
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* list,
                                 std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) pool_of(pool)->readers.insert(list[i].location.id);
  return noted("cudaMemPoolSetAccess");
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
  FakeCuda::get().separate_left += std::exchange(FakeCuda::get().separate_in_pool, 0);
  return noted("cudaMemPoolTrimTo");
}

cudaError_t cudaMallocFromPoolAsync(void** data, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t) {
  *data = new_memory(bytes);
  origins()[*data] = pool_of(pool);
  ++pool_of(pool)->allocations;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
  const auto at = origins().find(data);
  if (at == origins().end() || at->second == nullptr) return cudaErrorInvalidValue;
  --at->second->allocations;
  origins().erase(at);
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  noted("cudaMalloc");
  if (FakeCuda::get().separate_left == 0) return cudaErrorMemoryAllocation;
  --FakeCuda::get().separate_left;
  *data = new_memory(bytes);
  origins()[*data] = nullptr;
  FakeCuda::get().separate.insert(*data);
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  noted("cudaFree");
  if (FakeCuda::get().separate.erase(data) == 0) return cudaErrorInvalidValue;
  origins().erase(data);
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  *data = new_memory(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void*) {
  attributes->type = cudaMemoryTypeDevice;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t rows,
                              cudaMemcpyKind, cudaStream_t) {
  for (std::size_t row = 0; row < rows; ++row) {
    std::memcpy(static_cast<char*>(to) + row * to_pitch,
                static_cast<const char*>(from) + row * from_pitch, width);
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new int);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete reinterpret_cast<int*>(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return noted("cudaStreamSynchronize");
}
cudaError_t cudaStreamQuery(cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new int);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<int*>(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) {
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 0;
  return cudaSuccess;
}

}  // extern "C"
