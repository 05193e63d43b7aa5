#pragma once
// What a pass measures of itself.

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "annulus/device/stream.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::ring {

/// Starts with a pass. Waits are timed by the clock of the host on the CPU, and by events on a GPU,
/// whose stream waits while the host has gone on.
class PassMeter {
 public:
  /// Borrows the stream on which the pass computes.
  explicit PassMeter(device::Stream& stream)
      : stream_(stream), on_host_(stream.device().kind == DeviceKind::cpu) {}

  [[nodiscard]] device::Stream& stream() const { return stream_; }

  /// Calls `wait`, which returns when there is something to compute again, or has made the stream
  /// wait for that.
  template <class Wait>
  void waiting(const Wait& wait) {
    if (on_host_) {
      const auto start = Clock::now();
      wait();
      exposed_seconds_ += since(start);
    } else {
      auto start = stream_.record();
      wait();
      waits_.emplace_back(std::move(start), stream_.record());
    }
  }

  void sends(std::size_t bytes) { bytes_sent_ += static_cast<Index>(bytes); }

  /// Once the stream is done.
  [[nodiscard]] PassReport report() const {
    PassReport report{
        .seconds = since(start_), .exposed_seconds = exposed_seconds_, .bytes_sent = bytes_sent_};
    for (const auto& [start, end] : waits_) {
      report.exposed_seconds += stream_.seconds_between(*start, *end);
    }
    return report;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Event = std::shared_ptr<const device::Event>;

  [[nodiscard]] static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  device::Stream& stream_;
  bool on_host_;
  Clock::time_point start_ = Clock::now();
  double exposed_seconds_ = 0;
  std::vector<std::pair<Event, Event>> waits_;
  Index bytes_sent_ = 0;
};

}  // namespace annulus::ring
