#pragma once
// What a pass measures of itself.

#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/device/stream.hpp"
#include "annulus/ring/pass_trace.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::ring {

/// Starts with a pass. On the CPU, moments are those of the clock of the host, and on a GPU events,
/// as its stream waits and computes while the host has gone on.
class PassMeter {
 public:
  struct Moment {
    double seconds = 0;  // since the start, on the CPU
    std::shared_ptr<const device::Event> event{};
  };

  /// Borrows the stream on which the pass computes, and a trace, which is null where only waits are
  /// measured.
  PassMeter(device::Stream& stream, std::vector<PassTrace>* traces, Pass pass)
      : stream_(stream),
        on_host_(stream.device().kind == DeviceKind::cpu),
        traces_(traces),
        pass_(pass),
        start_(stream.now()),
        begin_(now()) {}

  [[nodiscard]] device::Stream& stream() const { return stream_; }
  [[nodiscard]] bool traces() const { return traces_ != nullptr; }

  [[nodiscard]] Moment now() const {
    if (on_host_) return {.seconds = since_start()};
    return {.event = stream_.record()};
  }

  /// Calls `wait`, which returns when there is something to compute again, or has made the stream
  /// wait for that.
  template <class Wait>
  void waiting(std::size_t step, const Wait& wait) {
    const auto begin = now();
    {
      const Range range(*this, "step {} waits", step);
      wait();
    }
    add({.activity = Activity::waits, .step = step}, begin, now());
  }

  /// Calls `compute`, which computes with `keys` or makes the stream do so.
  template <class Work>
  void computing(std::size_t step, const Item& keys, const Work& compute) {
    const Range range(*this, "step {} computes with keys of {}", step, keys.owner);
    if (!traces()) {
      compute();
      return;
    }
    const auto begin = now();
    compute();
    add({.activity = Activity::computes, .step = step, .item = keys}, begin, now());
  }

  /// What was done from `begin` to `end`.
  void add(const TraceEvent& event, Moment begin, Moment end) {
    spans_.push_back({event, std::move(begin), std::move(end)});
  }

  void sends(std::size_t bytes) { bytes_sent_ += static_cast<Index>(bytes); }

  /// Once the stream is done. Adds to the traces.
  [[nodiscard]] PassReport report() {
    PassReport report{.seconds = since_start(), .bytes_sent = bytes_sent_};
    for (auto& [event, begin, end] : spans_) {
      event.begin = seconds_of(begin);
      event.end = seconds_of(end);
      if (event.activity == Activity::waits) report.exposed_seconds += event.end - event.begin;
    }
    if (traces()) {
      auto& trace = traces_->emplace_back(
          PassTrace{.pass = pass_, .start = start_, .seconds = report.seconds});
      for (const auto& span : spans_) trace.events.push_back(span.event);
    }
    return report;
  }

 private:
  struct Span {
    TraceEvent event;
    Moment begin;
    Moment end;
  };

  /// What profilers of a GPU see: "forward: step 3 waits".
  class Range {
   public:
    template <class... Values>
    Range(const PassMeter& meter, fmt::format_string<Values&...> what, Values&... values)
        : stream_(meter.on_host_ ? nullptr : &meter.stream_) {
      if (stream_ == nullptr) return;
      const auto text = fmt::format("{}: {}", name_of(meter.pass_), fmt::format(what, values...));
      stream_->begin_range(text.c_str());
    }
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;
    ~Range() {
      if (stream_ != nullptr) stream_->end_range();
    }

   private:
    device::Stream* stream_;
  };

  [[nodiscard]] double since_start() const { return stream_.now() - start_; }
  [[nodiscard]] double seconds_of(const Moment& moment) const {
    return on_host_ ? moment.seconds : stream_.seconds_between(*begin_.event, *moment.event);
  }

  device::Stream& stream_;
  bool on_host_;
  std::vector<PassTrace>* traces_;
  Pass pass_;
  double start_;
  Moment begin_;
  std::vector<Span> spans_;
  Index bytes_sent_ = 0;
};

}  // namespace annulus::ring
