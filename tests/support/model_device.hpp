#pragma once
// A device without hardware: streams whose work runs as late, or as early, as their order allows.

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::test {

/// When work runs that may run now or later. A program that orders its streams by events gets the
/// same from both; one that does not, reads what has not been written yet or is overwritten.
enum class Order {
  early,  ///< as soon as it is enqueued
  late,   ///< when somebody waits for it, or asks whether it is done
};

class ModelStream;

/// Memory and a lock that all streams share. Memory is NaN before it is written and after it is
/// freed; work on memory that is not there is an Error.
class ModelDevice {
 public:
  explicit ModelDevice(Order order, int index = 0);
  ModelDevice(const ModelDevice&) = delete;
  ModelDevice& operator=(const ModelDevice&) = delete;
  ~ModelDevice();

  /// Whether memory of any device lies there that is not exportable.
  [[nodiscard]] static bool any_has_stream_ordered(const void* data);

  /// Bytes of device memory and of pinned memory that have not been given back.
  [[nodiscard]] std::size_t bytes_in_use();
  /// Bytes of device memory that were ever asked for.
  [[nodiscard]] std::size_t bytes_allocated();
  /// Copies of memory of the host of any kind to the device and back, so far.
  [[nodiscard]] Index uploads();
  [[nodiscard]] Index downloads();
  /// How often the host waited for work of a stream that was still to be done, which it has not
  /// where work runs early.
  [[nodiscard]] Index waits();
  /// Whether work has thrown, even if only in the destructor of its stream.
  [[nodiscard]] bool failed();

 private:
  friend class ModelStream;
  enum class Kind { stream_ordered, exportable, pinned };
  struct Block {
    std::unique_ptr<std::byte[]> owned;
    std::byte* data;
    std::size_t size;
    Kind kind;
    bool freed;
  };

  [[nodiscard]] std::byte* allocate(std::size_t bytes, Kind kind);
  void free(std::byte* data, Kind kind);
  /// The block that holds these bytes and has not been freed, or null.
  [[nodiscard]] const Block* find(const void* data, std::size_t bytes) const;
  void check(const void* data, std::size_t bytes) const;
  void check_rows(const void* data, std::size_t pitch, const device::RowCopy& copy) const;

  Order order_;
  int index_;
  std::recursive_mutex mutex_;
  bool failed_ = false;
  std::size_t bytes_allocated_ = 0;
  Index uploads_ = 0;
  Index downloads_ = 0;
  Index waits_ = 0;
  std::map<const std::byte*, Block>
      blocks_;  ///< by address; freed ones stay, so that none is used twice
};

/// A stream of a model device, which says that it is a GPU.
class ModelStream final : public device::Stream {
 public:
  explicit ModelStream(std::shared_ptr<ModelDevice> device) : device_(std::move(device)) {}
  ~ModelStream() override;

  /// Adds work of the caller's, such as a kernel.
  void enqueue(std::function<void()> work);
  /// Adds work that needs others: it is tried until it returns true, and what is enqueued behind it
  /// waits.
  void enqueue_until(std::function<bool()> attempt);

  [[nodiscard]] Device device() const override { return Device::cuda(device_->index_); }
  [[nodiscard]] void* handle() override { return this; }
  [[nodiscard]] std::byte* allocate(std::size_t bytes) override;
  void free(std::byte* data) noexcept override;
  [[nodiscard]] std::byte* allocate_exportable(std::size_t bytes) override;
  void free_exportable(std::byte* data) noexcept override {
    free(data, ModelDevice::Kind::exportable);
  }
  [[nodiscard]] std::byte* allocate_pinned(std::size_t bytes) override;
  void free_pinned(std::byte* data) noexcept override { free(data, ModelDevice::Kind::pinned); }
  [[nodiscard]] bool reaches(const void* data) const override;
  void copy(const device::RowCopy& copy) override;
  void upload(const device::RowCopy& copy) override;
  void download(const device::RowCopy& copy) override;
  void clear(void* data, std::size_t bytes) override;
  [[nodiscard]] std::shared_ptr<const device::Event> record() override;
  void wait(const device::Event& event) override;
  [[nodiscard]] bool idle() override;
  void synchronize() override;
  [[nodiscard]] double seconds_between(const device::Event& start,
                                       const device::Event& end) const override;
  [[nodiscard]] device::Stream& transfers() override;
  void begin_range(const char* name) override { open_ranges_.push_back(name); }
  void end_range() noexcept override {
    ranges_.push_back(open_ranges_.back());
    open_ranges_.pop_back();
  }

  /// Those that have ended, in this order.
  [[nodiscard]] const std::vector<std::string>& ranges() const { return ranges_; }

 private:
  class ModelEvent;
  /// Something to do once `after` has been reached, if there is such; false where it cannot be done
  /// yet.
  struct Task {
    std::function<bool()> attempt;
    std::shared_ptr<const ModelEvent> after;
  };

  [[nodiscard]] std::lock_guard<std::recursive_mutex> lock() const {
    return std::lock_guard(device_->mutex_);
  }
  void free(std::byte* data, ModelDevice::Kind kind) noexcept;
  void add(Task task);
  /// Does the first task, if there is one that can be done. With the lock held.
  bool run_next();
  /// Does all tasks; others may use the device meanwhile.
  void run_all();

  std::shared_ptr<ModelDevice> device_;
  std::deque<Task> tasks_;
  std::vector<std::string> open_ranges_;
  std::vector<std::string> ranges_;
  bool running_ = false;  // a task looks at its own stream
  std::unique_ptr<ModelStream> transfers_;
};

/// A stream of a new device.
[[nodiscard]] inline std::shared_ptr<ModelStream> model_stream(Order order) {
  return std::make_shared<ModelStream>(std::make_shared<ModelDevice>(order));
}

}  // namespace annulus::test
