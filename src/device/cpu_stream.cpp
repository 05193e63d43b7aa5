// The CPU as a device: all work is done when it is enqueued.
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "annulus/base/error.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::device {
namespace {

/// A moment: there is nothing to wait for.
class Now final : public Event {
 public:
  [[nodiscard]] bool reached() const override { return true; }
};

/// Asks for large pages for what lies whole in such: page by page of 4 KiB, memory that is new
/// costs some percent of a short pass, and rows that are apart cost a look-up each.
void prefer_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 2 << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (begin + page - 1) / page * page;
  const auto last = (begin + bytes) / page * page;
  if (first < last) {
    static_cast<void>(::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE));
  }
#endif
}

class CpuStream final : public Stream {
 public:
  [[nodiscard]] Device device() const override { return Device::cpu(); }
  [[nodiscard]] void* handle() override { return nullptr; }

  [[nodiscard]] std::byte* allocate(std::size_t bytes) override {
    auto* memory = static_cast<std::byte*>(::operator new(bytes, alignment));
    prefer_large_pages(memory, bytes);
    return memory;
  }
  void free(std::byte* data) noexcept override { ::operator delete(data, alignment); }
  [[nodiscard]] std::byte* allocate_pinned(std::size_t bytes) override { return allocate(bytes); }
  void free_pinned(std::byte* data) noexcept override { free(data); }
  [[nodiscard]] bool reaches(const void* /*data*/) const override { return true; }

  void copy(const RowCopy& copy) override {
    auto* to = static_cast<std::byte*>(copy.to);
    const auto* from = static_cast<const std::byte*>(copy.from);
    if (copy.to_pitch == copy.width && copy.from_pitch == copy.width) {
      if (copy.width * copy.rows > 0) std::memcpy(to, from, copy.width * copy.rows);
      return;
    }
    for (std::size_t i = 0; i < copy.rows; ++i) {
      std::memcpy(to + i * copy.to_pitch, from + i * copy.from_pitch, copy.width);
    }
  }
  void upload(const RowCopy& rows) override { copy(rows); }
  void download(const RowCopy& rows) override { copy(rows); }
  void clear(void* data, std::size_t bytes) override {
    std::fill_n(static_cast<std::byte*>(data), bytes, std::byte{0});
  }

  [[nodiscard]] std::shared_ptr<const Event> record() override { return std::make_shared<Now>(); }
  void wait(const Event& event) override {
    ensure(event.reached(), "the CPU waits for an event of another device");
  }
  [[nodiscard]] bool idle() override { return true; }
  void synchronize() override {}
  [[nodiscard]] double seconds_between(const Event&, const Event&) const override { return 0; }
  [[nodiscard]] Stream& transfers() override { return *this; }

 private:
  static constexpr std::align_val_t alignment{64};
};

}  // namespace

const std::shared_ptr<Stream>& cpu_stream() {
  static const std::shared_ptr<Stream> stream = std::make_shared<CpuStream>();
  return stream;
}

}  // namespace annulus::device
