#pragma once
// A stream of a CUDA GPU.

#include <cuda_runtime_api.h>

#include <memory>

#include "annulus/device/stream.hpp"
#include "device/memory_pool.hpp"
#include "device/pinned_pool.hpp"

namespace annulus::device {

/// Owns a cudaStream_t that does not wait for the legacy default stream. Every function makes its
/// device that of the calling thread.
class CudaStream final : public Stream {
 public:
  /// `device` is one of visible_gpus.
  explicit CudaStream(Device device);
  ~CudaStream() override;

  [[nodiscard]] Device device() const override { return device_; }
  [[nodiscard]] void* handle() override;
  [[nodiscard]] std::byte* allocate(std::size_t bytes) override;
  void free(std::byte* data) noexcept override;
  [[nodiscard]] std::byte* allocate_exportable(std::size_t bytes) override;
  void free_exportable(std::byte* data) noexcept override;
  [[nodiscard]] std::byte* allocate_pinned(std::size_t bytes) override;
  void free_pinned(std::byte* data) noexcept override;
  [[nodiscard]] bool reaches(const void* data) const override;
  void copy(const RowCopy& copy) override;
  void upload(const RowCopy& copy) override;
  void download(const RowCopy& copy) override;
  void clear(void* data, std::size_t bytes) override;
  [[nodiscard]] std::shared_ptr<const Event> record() override;
  void wait(const Event& event) override;
  [[nodiscard]] bool idle() override;
  void synchronize() override;
  [[nodiscard]] double seconds_between(const Event& start, const Event& end) const override;
  void begin_range(const char* name) override;
  void end_range() noexcept override;
  [[nodiscard]] Stream& transfers() override;

 private:
  void use() const;

  Device device_;
  std::shared_ptr<MemoryPool> pool_;
  cudaStream_t stream_ = nullptr;
  PinnedPool pinned_;
  std::unique_ptr<CudaStream> transfers_;
};

}  // namespace annulus::device
