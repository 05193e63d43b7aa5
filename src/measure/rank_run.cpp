#include "annulus/measure/rank_run.hpp"

#include <algorithm>
#include <utility>

namespace annulus::measure {
namespace {

struct Span {
  double begin;
  double end;
};

/// The same moments, as spans that are disjoint and rise.
std::vector<Span> merged(std::vector<Span> spans) {
  std::ranges::sort(spans, {}, &Span::begin);
  std::vector<Span> all;
  for (const auto& span : spans) {
    if (!all.empty() && span.begin <= all.back().end) {
      all.back().end = std::max(all.back().end, span.end);
    } else {
      all.push_back(span);
    }
  }
  return all;
}

/// How much of `span` is in `spans`, which are disjoint.
double common(const Span& span, const std::vector<Span>& spans) {
  double seconds = 0;
  for (const auto& other : spans) {
    seconds += std::max(0.0, std::min(span.end, other.end) - std::max(span.begin, other.begin));
  }
  return seconds;
}

}  // namespace

RankRun rank_run_of(const PassTrace& trace, const Topology& topology, int rank) {
  RankRun run{.seconds = trace.seconds};
  std::vector<Span> transfers;
  std::vector<Span> waits;
  for (const auto& event : trace.events) {
    const Span span{event.begin, event.end};
    if (run.steps.size() <= event.step) run.steps.resize(event.step + 1);
    auto& step = run.steps[event.step];
    switch (event.activity) {
      case Activity::computes:
        step.compute_seconds += span.end - span.begin;
        break;
      case Activity::waits:
        step.exposed_seconds += span.end - span.begin;
        waits.push_back(span);
        break;
      case Activity::sends:
        run.bytes_sent += event.bytes;
        if (!same_node(topology, rank, event.peer)) run.bytes_between_nodes += event.bytes;
        ++run.messages_sent;
        transfers.push_back(span);
        break;
      case Activity::receives:
        transfers.push_back(span);
        break;
    }
  }
  for (const auto& step : run.steps) {
    run.compute_seconds += step.compute_seconds;
    run.exposed_seconds += step.exposed_seconds;
  }
  const auto under_way = merged(std::move(transfers));
  for (const auto& span : under_way) run.transfer_seconds += span.end - span.begin;
  for (const auto& span : waits) run.exposed_transfer_seconds += common(span, under_way);
  return run;
}

}  // namespace annulus::measure
