#pragma once
// The clock of a core, which falls under instructions that take much power.

#include <chrono>
#include <vector>

namespace annulus::kernels {

/// Samples of what the core of the calling thread takes, at once, for a chain of some thousand
/// operations that wait for each other: as many cycles each time, so times are in the ratio of
/// clocks. A sample takes a microsecond, and a clock that has fallen stays for some.
class ClockSamples {
 public:
  void take();

  /// The same, unless the last call was a moment ago, as when the core has waited since. Whether a
  /// sample was taken.
  bool take_after_work();

  /// Seconds of a chain: the median, as whatever else a machine does adds to some. NaN where there
  /// are none.
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<double> seconds_;
  Clock::time_point last_end_{};
};

}  // namespace annulus::kernels
