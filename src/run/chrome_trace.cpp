#include "annulus/run/chrome_trace.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "results/replacement.hpp"
#include "run/clock_offset.hpp"
#include "run/messages.hpp"

namespace annulus::run {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* option = "--trace";
constexpr double microseconds = 1e6;

/// "keys of 3" as the name of an event, and where it comes from or goes to.
std::string name_of_event(const TraceEvent& event) {
  if (event.activity == Activity::waits) return "waits";
  auto item = fmt::format("{} of {}", name_of(event.item.what), event.item.owner);
  if (event.activity == Activity::computes) return item;
  return fmt::format("{} {} {}", item, event.activity == Activity::sends ? "to" : "from",
                     event.peer);
}

Json arguments_of(const TraceEvent& event) {
  Json arguments{{"step", event.step}};
  if (event.activity == Activity::waits) return arguments;
  arguments["rows"] = event.item.rows.count();
  arguments["heads"] = event.item.heads.size();
  if (event.peer >= 0) arguments["bytes"] = event.bytes;
  return arguments;
}

/// The events of one rank, a line each, as text between two commas.
class Lines {
 public:
  Lines(int rank, double zero) : rank_(rank), zero_(zero) {
    describe("process_name", {{"name", fmt::format("rank {} on {}", rank, host_name())}});
    describe("process_sort_index", {{"sort_index", rank}});
    describe("thread_name", {{"name", "computes"}});
  }

  void add(const PassTrace& trace) {
    span(name_of(trace.pass), "pass", trace.start, trace.start + trace.seconds, Json::object());
    for (const auto& event : trace.events) {
      const double begin = trace.start + event.begin;
      const double end = trace.start + event.end;
      if (event.peer < 0) {
        span(name_of_event(event), name_of(event.activity), begin, end, arguments_of(event));
      } else {
        // Transfers overlap each other, as threads of a trace do not.
        ++transfers_;
        transfer(event, "b", begin);
        transfer(event, "e", end);
      }
    }
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void describe(const char* name, Json arguments) {
    line({{"ph", "M"}, {"name", name}, {"pid", rank_}, {"args", std::move(arguments)}});
  }
  void span(std::string_view name, std::string_view category, double begin, double end,
            Json arguments) {
    line({{"ph", "X"},
          {"name", name},
          {"cat", category},
          {"pid", rank_},
          {"tid", 0},
          {"ts", (begin - zero_) * microseconds},
          {"dur", (end - begin) * microseconds},
          {"args", std::move(arguments)}});
  }
  void transfer(const TraceEvent& event, const char* phase, double at) {
    line({{"ph", phase},
          {"name", name_of_event(event)},
          {"cat", name_of(event.activity)},
          {"id", fmt::format("{}.{}", rank_, transfers_)},
          {"pid", rank_},
          {"tid", 0},
          {"ts", (at - zero_) * microseconds},
          {"args", arguments_of(event)}});
  }
  void line(const Json& event) {
    if (!text_.empty()) text_ += ",\n";
    text_ += event.dump();
  }

  int rank_;
  double zero_;
  Index transfers_ = 0;
  std::string text_;
};

}  // namespace

void check_trace_path(const std::string& path) {
  (void)results::output_target(path, option);
}

void write_chrome_trace(const std::string& path, const std::vector<PassTrace>& traces,
                        comm::Communicator& communicator) {
  // The first start of all, on this rank's clock.
  const double offset = clock_offset(communicator);
  double zero = std::numeric_limits<double>::infinity();
  for (const auto& trace : traces) zero = std::min(zero, trace.start - offset);
  communicator.all_reduce(std::span(&zero, 1), comm::Reduction::minimum);
  const int rank = communicator.rank();
  Lines lines(rank, zero + offset);
  for (const auto& trace : traces) lines.add(trace);
  if (rank > 0) {
    send_text(communicator, 0, lines.text());
    return;
  }
  results::Replacement file(path, option);
  std::ofstream out(file.temporary());
  out << R"({"displayTimeUnit":"ms","traceEvents":[)" << '\n' << lines.text();
  for (int peer = 1; peer < communicator.size(); ++peer) {
    out << ",\n" << receive_text(communicator, peer);
  }
  out << "\n]}\n";
  out.close();
  if (!out) throw Error(fmt::format("{} {}: cannot be written", option, path));
  file.commit();
}

}  // namespace annulus::run
