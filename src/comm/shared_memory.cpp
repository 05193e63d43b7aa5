#include "annulus/comm/shared_memory.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::comm {
namespace {

/// A region begins with its rank's tick, on cache lines of its own. A lock-free atomic works
/// between processes as it does between threads.
using Tick = std::atomic<Index>;
static_assert(Tick::is_always_lock_free);
constexpr Index tick_bytes = 128;

Tick& tick_at(std::byte* begin) {
  return *std::launder(reinterpret_cast<Tick*>(begin));
}

}  // namespace

SharedMemory::SharedMemory(int rank, Index bytes, std::vector<Region> regions,
                           std::shared_ptr<void> memory, std::function<void()> idle)
    : rank_(rank),
      bytes_(bytes),
      regions_(std::move(regions)),
      memory_(std::move(memory)),
      idle_(std::move(idle)) {
  new (begin_of(rank)) Tick(0);
}

Index SharedMemory::region_bytes(Index bytes) {
  return tick_bytes + ceil_div(bytes, tick_bytes) * tick_bytes;
}

std::byte* SharedMemory::begin_of(int rank) const {
  const auto region = std::ranges::find(regions_, rank, &Region::rank);
  ensure(region != regions_.end(), "a rank reads memory of a rank on another node");
  return region->begin;
}

std::span<std::byte> SharedMemory::of(int rank) const {
  return {begin_of(rank) + tick_bytes, static_cast<std::size_t>(bytes_)};
}

Index SharedMemory::tick() const {
  return tick_at(begin_of(rank_)).load(std::memory_order_relaxed);
}

void SharedMemory::announce(Index tick) {
  auto& own = tick_at(begin_of(rank_));
  ensure(tick > own.load(std::memory_order_relaxed), "ticks rise");
  own.store(tick, std::memory_order_release);
}

void SharedMemory::wait_for(int rank, Index tick, const std::function<void()>& poll) const {
  // Others are seldom late by more than microseconds. Where they are, they may need this core: what
  // is slept is a small part of what has been waited.
  using Clock = std::chrono::steady_clock;
  constexpr int patience = 300;
  const auto& other = tick_at(begin_of(rank));
  const auto start = Clock::now();
  for (int looks = 0; other.load(std::memory_order_acquire) < tick; ++looks) {
    if (poll) poll();
    if (looks < patience) continue;
    if (idle_) idle_();
    std::this_thread::sleep_for(
        std::min<Clock::duration>((Clock::now() - start) / 8, std::chrono::microseconds(200)));
  }
}

}  // namespace annulus::comm
