#include "annulus/sweep/record.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::sweep {
namespace {

using results::Axis;
using results::Elements;
using results::StudyFile;
using results::StudyLayout;
using results::Variable;

struct Text {
  const char* name;
  const char* long_name;
  std::string Record::*member;
};
constexpr std::array texts{
    Text{"verdict", "VALID, INVALID or UNFIT", &Record::verdict},
    Text{"schedule", "schedule with its sizes", &Record::schedule},
    Text{"sharding", "sharding of queries", &Record::sharding},
};

struct Number {
  const char* name;
  const char* long_name;
  const char* units;
  double Record::*member;
};
constexpr std::array numbers{
    Number{"run", "run that measured it, 0 the first", "1", &Record::run},
    Number{"threads", "threads of each rank", "1", &Record::threads},
    Number{"nodes", "nodes that the ranks are on", "1", &Record::nodes},
    Number{"repetitions", "timed passes", "1", &Record::repetitions},
    Number{"seconds", "time of the slowest rank, median", "s", &Record::seconds},
    Number{"seconds_min", "time of the slowest rank, least", "s", &Record::seconds_min},
    Number{"seconds_max", "time of the slowest rank, most", "s", &Record::seconds_max},
    Number{"exposed_seconds", "waiting with nothing to compute, most of all ranks, median", "s",
           &Record::exposed_seconds},
    Number{"flops", "operations of a pass", "1", &Record::flops},
    Number{"peak_flops_per_second", "operations a second in registers, all ranks at once", "s-1",
           &Record::peak_flops_per_second},
    Number{"bytes_sent", "bytes sent by all ranks", "byte", &Record::bytes_sent},
    Number{"bytes_between_nodes", "bytes sent between nodes", "byte", &Record::bytes_between_nodes},
    Number{"messages_sent", "messages sent by all ranks", "1", &Record::messages_sent},
    Number{"bandwidth", "bytes a second sent by a rank while transfers are under way", "byte s-1",
           &Record::bandwidth},
    Number{"link_bandwidth", "the same of the same transfers with nothing to compute", "byte s-1",
           &Record::link_bandwidth},
    Number{"overlap", "part of the time with transfers under way in which ranks compute", "1",
           &Record::overlap},
    Number{"predicted_seconds", "time predicted for --machine", "s", &Record::predicted_seconds},
    Number{"predicted_exposed_seconds", "waiting predicted for --machine, most of all ranks", "s",
           &Record::predicted_exposed_seconds},
    Number{"balance", "mean over ranks of the time they compute, of the longest", "1",
           &Record::balance},
};

struct List {
  const char* name;
  const char* long_name;
  const char* axis;
  std::vector<double> Record::*member;
};
constexpr std::array lists{
    List{"samples", "time of the slowest rank", "repetition", &Record::samples},
    List{"exposed_samples", "waiting, most of all ranks", "repetition", &Record::exposed_samples},
    List{"rank_seconds", "time of the pass", "rank", &Record::rank_seconds},
    List{"rank_compute_seconds", "time that computes", "rank", &Record::rank_compute_seconds},
    List{"rank_exposed_seconds", "waiting with nothing to compute", "rank",
         &Record::rank_exposed_seconds},
    List{"step_compute_mean", "time that computes, mean over ranks", "step",
         &Record::step_compute_mean},
    List{"step_compute_max", "time that computes, most of all ranks", "step",
         &Record::step_compute_max},
    List{"step_exposed_mean", "waiting, mean over ranks", "step", &Record::step_exposed_mean},
    List{"step_exposed_max", "waiting, most of all ranks", "step", &Record::step_exposed_max},
};

Axis counting(std::string name, std::string long_name, Index first, Index count) {
  Axis axis{.name = std::move(name), .values = {}, .counts = true, .long_name = long_name};
  for (Index i = 0; i < count; ++i) axis.values.push_back(static_cast<double>(first + i));
  return axis;
}

/// A column of what is known of points: numbers, or texts.
template <class Of>
Variable known(const char* name, const char* long_name, std::span<const Point> points,
               const Of& of) {
  constexpr bool counts = std::is_arithmetic_v<std::invoke_result_t<Of, const Point&>>;
  Variable variable{.name = name,
                    .long_name = long_name,
                    .elements = counts ? Elements::counts : Elements::texts};
  for (const auto& point : points) {
    if constexpr (counts) {
      variable.values.push_back(static_cast<double>(of(point)));
    } else {
      variable.texts.emplace_back(of(point));
    }
  }
  return variable;
}

std::vector<Variable> known_of(std::span<const Point> points) {
  return {
      known("ranks", "ranks", points, [](const Point& one) { return one.ranks; }),
      known("length", "keys of a sequence on one rank", points,
            [](const Point& one) { return one.length; }),
      known("n_q", "queries", points,
            [](const Point& one) { return one.problem.documents.queries(); }),
      known("n_k", "keys", points, [](const Point& one) { return one.problem.documents.keys(); }),
      known("mask", "mask", points, [](const Point& one) { return one.problem.mask.name(); }),
      known("precision", "type of the inputs", points,
            [](const Point& one) { return name_of(one.options.data_type); }),
      known("pass", "forward or backward", points,
            [](const Point& one) { return name_of(one.pass); }),
      known("asked_schedule", "schedule as asked for", points,
            [](const Point& one) { return name_or_auto(one.options.schedule); }),
      known("asked_sharding", "sharding as asked for", points,
            [](const Point& one) { return name_or_auto(one.options.sharding); }),
  };
}

/// Room for the steps of a pass on `ranks` ranks and its end: ranks fetch the queries of some
/// others and then the keys of some others, and gradients come home.
Index most_steps(Index ranks) {
  return 2 * ranks + 4;
}

std::vector<double> padded(const std::vector<double>& values, std::size_t size) {
  ensure(values.size() <= size, "a point has more values than its study has room for");
  auto all = values;
  all.resize(size, std::numeric_limits<double>::quiet_NaN());
  return all;
}

}  // namespace

Record::Record() {
  for (const auto& number : numbers) {
    this->*number.member = std::numeric_limits<double>::quiet_NaN();
  }
}

StudyLayout layout_of(Growth growth, std::span<const Point> points, int repetitions) {
  const int ranks = std::ranges::max(points, {}, &Point::ranks).ranks;
  StudyLayout layout{.group = growth == Growth::none ? "strong" : "weak",
                     .axes = {counting("point", "point", 0, static_cast<Index>(points.size()))},
                     .inner_axes = {counting("repetition", "repetition", 1, repetitions),
                                    counting("rank", "rank", 0, ranks),
                                    counting("step", "step of the pass, the last one its end", 0,
                                             most_steps(ranks))},
                     .measured = {},
                     .theory = {},
                     .known = known_of(points)};
  for (const auto& text : texts) {
    layout.measured.push_back(
        {.name = text.name, .long_name = text.long_name, .elements = Elements::texts});
  }
  for (const auto& number : numbers) {
    layout.measured.push_back(
        {.name = number.name, .long_name = number.long_name, .units = number.units});
  }
  for (const auto& list : lists) {
    layout.measured.push_back(
        {.name = list.name, .long_name = list.long_name, .units = "s", .inner_axis = list.axis});
  }
  return layout;
}

void write_record(StudyFile& file, const StudyLayout& layout, Index point, const Record& record) {
  std::vector<std::string> words;
  for (const auto& text : texts) words.push_back(record.*text.member);
  std::vector<double> values;
  for (const auto& number : numbers) values.push_back(record.*number.member);
  for (const auto& list : lists) {
    const auto axis = std::ranges::find(layout.inner_axes, list.axis, &Axis::name);
    std::ranges::copy(padded(record.*list.member, axis->values.size()), std::back_inserter(values));
  }
  file.write_point(point, values, words);
}

std::vector<Record> read_records(const StudyFile& file, const StudyLayout& layout) {
  std::vector<Record> records(static_cast<std::size_t>(layout.points()));
  const auto for_each_finished = [&](const auto& body) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (file.finished(static_cast<Index>(i))) body(records[i], i);
    }
  };
  for (const auto& text : texts) {
    const auto all = file.measured_texts(text.name);
    for_each_finished([&](Record& record, std::size_t i) { record.*text.member = all[i]; });
  }
  for (const auto& number : numbers) {
    const auto all = file.measured(number.name);
    for_each_finished([&](Record& record, std::size_t i) { record.*number.member = all[i]; });
  }
  for (const auto& list : lists) {
    const auto all = file.measured(list.name);
    const auto size = all.size() / records.size();
    for_each_finished([&](Record& record, std::size_t i) {
      // Without what fills it up.
      const auto part = std::span(all).subspan(i * size, size);
      const auto end = std::ranges::find_if(part, [](double value) { return std::isnan(value); });
      (record.*list.member).assign(part.begin(), end);
    });
  }
  return records;
}

}  // namespace annulus::sweep
