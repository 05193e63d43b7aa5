#include "kernels/rulers/clock.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace annulus::kernels {

void ClockSamples::take() {
  constexpr int operations = 1000;
  // What is still to be read or written is no part of the time.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto start = Clock::now();
  std::uint64_t number = 3;
  for (int i = 0; i < operations; ++i) {
    number *= number;
    asm volatile("" : "+r"(number));  // no product is left out, or made beside another
  }
  last_end_ = Clock::now();
  seconds_.push_back(std::chrono::duration<double>(last_end_ - start).count());
}

bool ClockSamples::take_after_work() {
  constexpr std::chrono::microseconds moment{20};
  const auto now = Clock::now();
  const bool worked = now - last_end_ >= moment;
  last_end_ = now;
  if (worked) take();
  return worked;
}

double ClockSamples::seconds() const {
  if (seconds_.empty()) return std::numeric_limits<double>::quiet_NaN();
  auto sorted = seconds_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

}  // namespace annulus::kernels
