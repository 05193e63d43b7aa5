#include "device/cuda_stream.hpp"

#include <utility>

#include <fmt/format.h>
#include <nvtx3/nvToolsExt.h>

#include "annulus/base/error.hpp"
#include "device/cuda_check.hpp"

namespace annulus::device {
namespace {

class CudaEvent final : public Event {
 public:
  CudaEvent() { check_cuda(cudaEventCreate(&event_), "cudaEventCreate"); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() override { static_cast<void>(cudaEventDestroy(event_)); }

  [[nodiscard]] cudaEvent_t get() const { return event_; }

  [[nodiscard]] bool reached() const override {
    const auto code = cudaEventQuery(event_);
    if (code == cudaErrorNotReady) return false;
    check_cuda(code, "cudaEventQuery");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Tables and lists of tiles, which are uploaded while the device computes, go through pinned
/// memory, so that the host does not wait for it. Whole tensors are worth a wait.
constexpr std::size_t most_staged_bytes = std::size_t{16} << 20;

cudaEvent_t handle_of(const Event& event) {
  const auto* cuda = dynamic_cast<const CudaEvent*>(&event);
  ensure(cuda != nullptr, "a CUDA stream waits for an event of another kind of device");
  return cuda->get();
}

/// Ranges of this library, apart from those of others.
nvtxDomainHandle_t ranges() {
  static const nvtxDomainHandle_t domain = nvtxDomainCreateA("annulus");
  return domain;
}

}  // namespace

CudaStream::CudaStream(Device device) : device_(device) {
  use();
  pool_ = MemoryPool::of(device.index);
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
             "cudaStreamCreateWithFlags");
}

CudaStream::~CudaStream() {
  transfers_.reset();
  // Codes are of no use here: whatever failed has thrown where somebody waited for it.
  static_cast<void>(cudaSetDevice(device_.index));
  static_cast<void>(cudaStreamSynchronize(stream_));
  static_cast<void>(cudaStreamDestroy(stream_));
}

void CudaStream::use() const {
  check_cuda(cudaSetDevice(device_.index), "cudaSetDevice");
}

void* CudaStream::handle() {
  use();
  return stream_;
}

std::byte* CudaStream::allocate(std::size_t bytes) {
  use();
  void* data = nullptr;
  check_cuda(cudaMallocFromPoolAsync(&data, bytes, pool_->get(), stream_),
             "cudaMallocFromPoolAsync");
  return static_cast<std::byte*>(data);
}

void CudaStream::free(std::byte* data) noexcept {
  static_cast<void>(cudaSetDevice(device_.index));
  static_cast<void>(cudaFreeAsync(data, stream_));
}

std::byte* CudaStream::allocate_exportable(std::size_t bytes) {
  use();
  void* data = nullptr;
  auto code = cudaMalloc(&data, bytes);
  if (code == cudaErrorMemoryAllocation) {
    synchronize();
    pool_->release();
    static_cast<void>(cudaGetLastError());  // it is not of the next call
    code = cudaMalloc(&data, bytes);
  }
  check_cuda(code, "cudaMalloc");
  return static_cast<std::byte*>(data);
}

void CudaStream::free_exportable(std::byte* data) noexcept {
  static_cast<void>(cudaSetDevice(device_.index));
  // Nothing says that cudaFree waits for streams that do not wait for the legacy default stream.
  static_cast<void>(cudaStreamSynchronize(stream_));
  static_cast<void>(cudaFree(data));
}

std::byte* CudaStream::allocate_pinned(std::size_t bytes) {
  use();
  return pinned_.take(bytes);
}

void CudaStream::free_pinned(std::byte* data) noexcept {
  try {
    pinned_.give(data, record());
  } catch (const Error&) {
    // The device has failed. The block stays taken, for work may still use it.
  }
}

bool CudaStream::reaches(const void* data) const {
  use();
  cudaPointerAttributes attributes{};
  check_cuda(cudaPointerGetAttributes(&attributes, data), "cudaPointerGetAttributes");
  if (attributes.type == cudaMemoryTypeDevice && attributes.device != device_.index) {
    throw InputError(fmt::format("a tensor lies on GPU {}; the rank computes on GPU {}",
                                 attributes.device, device_.index));
  }
  return attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
}

void CudaStream::copy(const RowCopy& copy) {
  if (copy.width == 0 || copy.rows == 0) return;
  use();
  if (copy.rows == 1 || (copy.to_pitch == copy.width && copy.from_pitch == copy.width)) {
    check_cuda(
        cudaMemcpyAsync(copy.to, copy.from, copy.width * copy.rows, cudaMemcpyDefault, stream_),
        "cudaMemcpyAsync");
    return;
  }
  check_cuda(cudaMemcpy2DAsync(copy.to, copy.to_pitch, copy.from, copy.from_pitch, copy.width,
                               copy.rows, cudaMemcpyDefault, stream_),
             "cudaMemcpy2DAsync");
}

void CudaStream::upload(const RowCopy& rows) {
  const std::size_t bytes = rows.width * rows.rows;
  if (bytes > most_staged_bytes) {
    copy(rows);
    synchronize();
    return;
  }
  if (bytes == 0) return;
  std::byte* const staged = allocate_pinned(bytes);
  cpu_stream()->copy({staged, rows.width, rows.from, rows.from_pitch, rows.width, rows.rows});
  copy({rows.to, rows.to_pitch, staged, rows.width, rows.width, rows.rows});
  free_pinned(staged);
}

void CudaStream::download(const RowCopy& rows) {
  copy(rows);
  if (rows.width > 0 && rows.rows > 0) synchronize();
}

void CudaStream::clear(void* data, std::size_t bytes) {
  if (bytes == 0) return;
  use();
  check_cuda(cudaMemsetAsync(data, 0, bytes, stream_), "cudaMemsetAsync");
}

std::shared_ptr<const Event> CudaStream::record() {
  use();
  auto event = std::make_shared<CudaEvent>();
  check_cuda(cudaEventRecord(event->get(), stream_), "cudaEventRecord");
  return event;
}

void CudaStream::wait(const Event& event) {
  use();
  check_cuda(cudaStreamWaitEvent(stream_, handle_of(event), 0), "cudaStreamWaitEvent");
}

bool CudaStream::idle() {
  use();
  const auto code = cudaStreamQuery(stream_);
  if (code == cudaErrorNotReady) return false;
  check_cuda(code, "cudaStreamQuery");
  return true;
}

void CudaStream::synchronize() {
  use();
  check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

double CudaStream::seconds_between(const Event& start, const Event& end) const {
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, handle_of(start), handle_of(end)),
             "cudaEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e-3;
}

void CudaStream::begin_range(const char* name) {
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = name;
  static_cast<void>(nvtxDomainRangePushEx(ranges(), &attributes));
}

void CudaStream::end_range() noexcept {
  static_cast<void>(nvtxDomainRangePop(ranges()));
}

Stream& CudaStream::transfers() {
  if (!transfers_) transfers_ = std::make_unique<CudaStream>(device_);
  return *transfers_;
}

}  // namespace annulus::device
