#pragma once
// Memory of a GPU in the order of streams.

#include <cuda_runtime_api.h>

#include <memory>

namespace annulus::device {

/// The pool of CUDA that the streams of one GPU share in this process: not the GPU's default one,
/// which others in the process use. What is freed stays there for what is allocated next, and goes
/// back to the driver when the last of these streams and of what they allocated is gone, or where
/// release() is called. Other GPUs of the process that can copy from it may do so.
class MemoryPool {
 public:
  /// That of GPU `index`.
  [[nodiscard]] static std::shared_ptr<MemoryPool> of(int index);

  explicit MemoryPool(int index);
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();

  [[nodiscard]] cudaMemPool_t get() const { return pool_; }
  /// Gives back what is free, as far as the work that used it is done.
  void release() noexcept;

 private:
  void configure(int index) const;

  cudaMemPool_t pool_ = nullptr;
};

}  // namespace annulus::device
