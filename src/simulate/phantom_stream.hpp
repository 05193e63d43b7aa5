#pragma once
// A device whose memory holds nothing and whose clock is that of the simulation.

#include "annulus/device/stream.hpp"
#include "simulate/shared_arena.hpp"

namespace annulus::simulate {

/// The CPU as far as the engine is concerned. Copies do nothing and take no time.
class PhantomStream final : public device::Stream {
 public:
  /// Borrows the arena.
  explicit PhantomStream(SharedArena& arena) : arena_(arena) {}

  [[nodiscard]] Device device() const override { return Device::cpu(); }
  [[nodiscard]] void* handle() override { return nullptr; }
  [[nodiscard]] std::byte* allocate(std::size_t bytes) override { return arena_.of_size(bytes); }
  void free(std::byte* /*data*/) noexcept override {}
  [[nodiscard]] std::byte* allocate_pinned(std::size_t bytes) override { return allocate(bytes); }
  void free_pinned(std::byte* /*data*/) noexcept override {}
  [[nodiscard]] bool reaches(const void* /*data*/) const override { return true; }
  void copy(const device::RowCopy& /*rows*/) override {}
  void upload(const device::RowCopy& /*rows*/) override {}
  void download(const device::RowCopy& /*rows*/) override {}
  void clear(void* /*data*/, std::size_t /*bytes*/) override {}
  [[nodiscard]] std::shared_ptr<const device::Event> record() override;
  void wait(const device::Event& /*event*/) override {}
  [[nodiscard]] bool idle() override { return true; }
  void synchronize() override {}
  [[nodiscard]] double now() const override;
  [[nodiscard]] double seconds_between(const device::Event& /*start*/,
                                       const device::Event& /*end*/) const override {
    return 0;
  }
  [[nodiscard]] device::Stream& transfers() override { return *this; }

 private:
  SharedArena& arena_;
};

}  // namespace annulus::simulate
