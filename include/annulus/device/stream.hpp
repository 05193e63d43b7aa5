#pragma once
// Queues of work of a device, and the memory of that device.

#include <chrono>
#include <cstddef>
#include <memory>

#include "annulus/device/device.hpp"

namespace annulus::device {

/// A point in the work of a stream.
class Event {
 public:
  virtual ~Event() = default;
  /// Whether the stream has come here. Throws Error where its work has failed.
  [[nodiscard]] virtual bool reached() const = 0;
};

/// Copies `rows` rows of `width` bytes, each pitch apart.
struct RowCopy {
  void* to;
  std::size_t to_pitch;
  const void* from;
  std::size_t from_pitch;
  std::size_t width;
  std::size_t rows;

  /// Bytes without gaps.
  [[nodiscard]] static RowCopy of_bytes(void* to, const void* from, std::size_t bytes) {
    return {to, bytes, from, bytes, bytes, 1};
  }
};

/// Where memory of a device comes from.
enum class Allocation {
  stream_ordered,  ///< Stream::allocate
  exportable,      ///< Stream::allocate_exportable
};

/// A queue of work of one device. Work runs in the order in which it was enqueued; the CPU's runs
/// at once. Functions throw Error where the device fails, which may be because of earlier work.
/// Called by one thread at a time.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// Waits for the work.
  virtual ~Stream() = default;

  [[nodiscard]] virtual Device device() const = 0;
  /// What work is enqueued on: for CUDA, a cudaStream_t, whose device becomes that of the calling
  /// thread; null for the CPU.
  [[nodiscard]] virtual void* handle() = 0;

  /// Memory of the device for work enqueued from now on, aligned to 64 bytes at least. What it
  /// holds is undefined.
  [[nodiscard]] virtual std::byte* allocate(std::size_t bytes) = 0;
  /// Takes it back after the work enqueued so far.
  virtual void free(std::byte* data) noexcept = 0;
  /// The same that libraries may also open to other processes. For CUDA it is that of cudaMalloc,
  /// not of a pool, and the host waits for the device when it is taken and given back. A device
  /// that has one kind of memory has no other.
  [[nodiscard]] virtual std::byte* allocate_exportable(std::size_t bytes) {
    return allocate(bytes);
  }
  virtual void free_exportable(std::byte* data) noexcept { free(data); }
  /// Memory of the host that copy() reaches: pinned.
  [[nodiscard]] virtual std::byte* allocate_pinned(std::size_t bytes) = 0;
  /// Takes it back after the work enqueued so far.
  virtual void free_pinned(std::byte* data) noexcept = 0;
  /// Whether kernels of the device read what lies there. Throws InputError for memory of another
  /// device.
  [[nodiscard]] virtual bool reaches(const void* data) const = 0;

  /// Enqueues a copy between places in memory of the device or pinned memory.
  virtual void copy(const RowCopy& copy) = 0;
  /// Enqueues a copy from memory of the host, of whatever kind, which may change on return.
  virtual void upload(const RowCopy& copy) = 0;
  /// Copies to memory of the host, of whatever kind, after the work enqueued so far; it is there on
  /// return.
  virtual void download(const RowCopy& copy) = 0;
  /// Enqueues to set bytes to 0.
  virtual void clear(void* data, std::size_t bytes) = 0;

  /// The end of the work enqueued so far.
  [[nodiscard]] virtual std::shared_ptr<const Event> record() = 0;
  /// What is enqueued from now on starts after `event`, of this or another stream of the same kind
  /// of device.
  virtual void wait(const Event& event) = 0;
  /// Whether all work is done.
  [[nodiscard]] virtual bool idle() = 0;
  /// Returns when it is.
  virtual void synchronize() = 0;
  /// Seconds of the clock by which the host times what it does with this stream. It never goes
  /// back, and is std::chrono::steady_clock but where time is simulated.
  [[nodiscard]] virtual double now() const {
    const auto since_epoch = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since_epoch).count();
  }
  /// Seconds of the device between two events of its streams, both of which have been reached.
  [[nodiscard]] virtual double seconds_between(const Event& start, const Event& end) const = 0;

  /// Names what the calling thread does until end_range, nested, for profilers of the device. Costs
  /// nothing where none looks on, and nothing on a CPU.
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() noexcept {}

  /// A stream of the same device for transfers beside the work of this one, which owns it.
  [[nodiscard]] virtual Stream& transfers() = 0;
};

/// A stream of `device`. Throws InputError where there is none such: see gpu_problem.
[[nodiscard]] std::shared_ptr<Stream> open_stream(Device device);

/// The stream of the CPU, which any number of threads may use at once.
[[nodiscard]] const std::shared_ptr<Stream>& cpu_stream();

}  // namespace annulus::device
