#include "support/model_device.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"

namespace annulus::test {

using device::RowCopy;

namespace {

/// What memory holds that nobody has written: NaN in fp32, bf16 and fp16.
constexpr int poison = 0xff;

/// The devices that there are.
struct Devices {
  std::mutex mutex;
  std::set<ModelDevice*> all;
};

Devices& devices() {
  static Devices there;
  return there;
}

}  // namespace

ModelDevice::ModelDevice(Order order, int index) : order_(order), index_(index) {
  const std::lock_guard lock(devices().mutex);
  devices().all.insert(this);
}

ModelDevice::~ModelDevice() {
  const std::lock_guard lock(devices().mutex);
  devices().all.erase(this);
}

bool ModelDevice::any_has_stream_ordered(const void* data) {
  const std::lock_guard lock(devices().mutex);
  return std::ranges::any_of(devices().all, [data](ModelDevice* device) {
    const std::lock_guard held(device->mutex_);
    const auto* block = device->find(data, 1);
    return block != nullptr && block->kind == Kind::stream_ordered;
  });
}

std::size_t ModelDevice::bytes_in_use() {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& [begin, block] : blocks_) bytes += block.freed ? 0 : block.size;
  return bytes;
}

std::size_t ModelDevice::bytes_allocated() {
  const std::lock_guard lock(mutex_);
  return bytes_allocated_;
}

Index ModelDevice::uploads() {
  const std::lock_guard lock(mutex_);
  return uploads_;
}

Index ModelDevice::downloads() {
  const std::lock_guard lock(mutex_);
  return downloads_;
}

Index ModelDevice::waits() {
  const std::lock_guard lock(mutex_);
  return waits_;
}

bool ModelDevice::failed() {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::byte* ModelDevice::allocate(std::size_t bytes, Kind kind) {
  constexpr std::size_t alignment = 256;
  auto owned = std::make_unique<std::byte[]>(bytes + alignment);
  const auto address = reinterpret_cast<std::uintptr_t>(owned.get());
  std::byte* const data = owned.get() + (alignment - address % alignment);
  std::memset(data, poison, bytes);
  if (kind != Kind::pinned) bytes_allocated_ += bytes;
  blocks_.insert_or_assign(data, Block{std::move(owned), data, bytes, kind, false});
  return data;
}

void ModelDevice::free(std::byte* data, Kind kind) {
  const auto at = blocks_.find(data);
  ensure(at != blocks_.end() && !at->second.freed, "memory is freed that is not allocated");
  ensure(at->second.kind == kind, "memory is freed as another kind than it was allocated");
  at->second.freed = true;
  std::memset(data, poison, at->second.size);
}

const ModelDevice::Block* ModelDevice::find(const void* data, std::size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(data);
  auto at = blocks_.upper_bound(begin);
  if (at == blocks_.begin()) return nullptr;
  const auto& block = (--at)->second;
  const bool inside = begin + bytes <= block.data + block.size;
  return inside && !block.freed ? &block : nullptr;
}

void ModelDevice::check(const void* data, std::size_t bytes) const {
  ensure(bytes == 0 || find(data, bytes) != nullptr,
         "work uses memory that is neither the device's nor pinned, or has been freed");
}

void ModelDevice::check_rows(const void* data, std::size_t pitch, const RowCopy& copy) const {
  if (copy.rows == 0 || copy.width == 0) return;
  ensure(pitch >= copy.width || copy.rows == 1, "rows of a copy overlap");
  check(data, pitch * (copy.rows - 1) + copy.width);
}

class ModelStream::ModelEvent final : public device::Event,
                                      public std::enable_shared_from_this<ModelEvent> {
 public:
  explicit ModelEvent(ModelStream& stream) : stream_(stream), device_(stream.device_) {}

  [[nodiscard]] bool reached() const override {
    const std::lock_guard lock(device_->mutex_);
    // Time goes by where somebody looks.
    if (!reached_) stream_.run_next();
    return reached_;
  }

  /// Whether it is reached, now that somebody waits for it.
  [[nodiscard]] bool comes() const {
    while (!reached_ && stream_.run_next()) {
    }
    return reached_;
  }

  void reach() const { reached_ = true; }

 private:
  ModelStream& stream_;  // used until it is reached, which the stream's destructor waits for
  std::shared_ptr<ModelDevice> device_;
  mutable bool reached_ = false;
};

ModelStream::~ModelStream() {
  transfers_.reset();
  for (;;) {
    try {
      run_all();
      return;
    } catch (const Error&) {
      // Whoever waited has seen it.
    }
  }
}

bool ModelStream::run_next() {
  if (tasks_.empty() || running_) return false;
  running_ = true;
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  try {
    const bool done = (!task.after || task.after->comes()) && (!task.attempt || task.attempt());
    if (!done) tasks_.push_front(std::move(task));
    running_ = false;
    return done;
  } catch (...) {
    running_ = false;
    device_->failed_ = true;
    throw;
  }
}

void ModelStream::run_all() {
  for (;; std::this_thread::yield()) {
    const auto held = lock();
    while (run_next()) {
    }
    if (tasks_.empty()) return;
  }
}

void ModelStream::add(Task task) {
  tasks_.push_back(std::move(task));
  if (device_->order_ != Order::early) return;
  while (run_next()) {
  }
}

void ModelStream::enqueue(std::function<void()> work) {
  enqueue_until([work = std::move(work)] {
    work();
    return true;
  });
}

void ModelStream::enqueue_until(std::function<bool()> attempt) {
  const auto held = lock();
  add({std::move(attempt), nullptr});
}

std::byte* ModelStream::allocate(std::size_t bytes) {
  const auto held = lock();
  return device_->allocate(bytes, ModelDevice::Kind::stream_ordered);
}

std::byte* ModelStream::allocate_exportable(std::size_t bytes) {
  const auto held = lock();
  return device_->allocate(bytes, ModelDevice::Kind::exportable);
}

std::byte* ModelStream::allocate_pinned(std::size_t bytes) {
  const auto held = lock();
  return device_->allocate(bytes, ModelDevice::Kind::pinned);
}

void ModelStream::free(std::byte* data) noexcept {
  free(data, ModelDevice::Kind::stream_ordered);
}

void ModelStream::free(std::byte* data, ModelDevice::Kind kind) noexcept {
  enqueue([this, data, kind] { device_->free(data, kind); });
}

bool ModelStream::reaches(const void* data) const {
  const auto held = lock();
  const auto* block = device_->find(data, 1);
  return block != nullptr && block->kind != ModelDevice::Kind::pinned;
}

void ModelStream::copy(const RowCopy& copy) {
  enqueue([this, copy] {
    device_->check_rows(copy.to, copy.to_pitch, copy);
    device_->check_rows(copy.from, copy.from_pitch, copy);
    device::cpu_stream()->copy(copy);
  });
}

void ModelStream::upload(const RowCopy& copy) {
  auto staged = std::make_shared<std::vector<std::byte>>(copy.width * copy.rows);
  device::cpu_stream()->copy(
      {staged->data(), copy.width, copy.from, copy.from_pitch, copy.width, copy.rows});
  const auto held = lock();
  ++device_->uploads_;
  enqueue([this, copy, staged] {
    device_->check_rows(copy.to, copy.to_pitch, copy);
    device::cpu_stream()->copy(
        {copy.to, copy.to_pitch, staged->data(), copy.width, copy.width, copy.rows});
  });
}

void ModelStream::download(const RowCopy& copy) {
  synchronize();
  const auto held = lock();
  ++device_->downloads_;
  device_->check_rows(copy.from, copy.from_pitch, copy);
  device::cpu_stream()->copy(copy);
}

void ModelStream::clear(void* data, std::size_t bytes) {
  enqueue([this, data, bytes] {
    device_->check(data, bytes);
    if (bytes > 0) std::memset(data, 0, bytes);
  });
}

std::shared_ptr<const device::Event> ModelStream::record() {
  auto event = std::make_shared<ModelEvent>(*this);
  enqueue([event] { event->reach(); });
  return event;
}

void ModelStream::wait(const device::Event& event) {
  const auto* model = dynamic_cast<const ModelEvent*>(&event);
  ensure(model != nullptr, "a model stream waits for an event of another kind of device");
  const auto held = lock();
  add({nullptr, model->shared_from_this()});
}

bool ModelStream::idle() {
  const auto held = lock();
  run_next();
  return tasks_.empty();
}

void ModelStream::synchronize() {
  {
    const auto held = lock();
    if (!tasks_.empty()) ++device_->waits_;
  }
  run_all();
}

double ModelStream::seconds_between(const device::Event& start, const device::Event& end) const {
  ensure(start.reached() && end.reached(), "times of events that have not been reached");
  return 0;
}

device::Stream& ModelStream::transfers() {
  if (!transfers_) transfers_ = std::make_unique<ModelStream>(device_);
  return *transfers_;
}

}  // namespace annulus::test
