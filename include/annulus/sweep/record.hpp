#pragma once
// What is known of a point of a scaling study once it is measured, and its place in a file.

#include <span>
#include <string>
#include <vector>

#include "annulus/results/study_file.hpp"
#include "annulus/sweep/point.hpp"

namespace annulus::sweep {

/// NaN, and empty lists, where nothing was timed. Seconds of a repetition are those of the slowest
/// rank. What is of ranks and steps is of the repetition with the median time, or the one below it.
struct Record {
  std::string verdict{};   ///< VALID, INVALID (not timed), UNFIT (no plan); empty: not measured
  std::string schedule{};  ///< with all its sizes
  std::string sharding{};
  std::string reason{};  ///< why it is UNFIT; not in files

  double run;      ///< of the file: 0 the first, else its place among the resumptions, from 1
  double threads;  ///< of each rank
  double nodes;
  double repetitions;
  double seconds;  ///< median
  double seconds_min;
  double seconds_max;
  double exposed_seconds;  ///< median
  double flops;            ///< of one pass
  double peak_flops_per_second;
  double bytes_sent;  ///< by all ranks
  double bytes_between_nodes;
  double messages_sent;
  double bandwidth;       ///< of a rank, while transfers are under way
  double link_bandwidth;  ///< of a rank, by the same transfers with nothing to compute
  double overlap;         ///< of the time with transfers under way, the part in which ranks compute
  double predicted_seconds;  ///< for the machine of the point, likewise
  double predicted_exposed_seconds;
  double balance;  ///< mean over ranks of the time they compute, of the longest

  std::vector<double> samples{};  ///< of each repetition
  std::vector<double> exposed_samples{};
  std::vector<double> rank_seconds{};  ///< of each rank
  std::vector<double> rank_compute_seconds{};
  std::vector<double> rank_exposed_seconds{};
  std::vector<double> step_compute_mean{};  ///< of each step, over ranks
  std::vector<double> step_compute_max{};
  std::vector<double> step_exposed_mean{};
  std::vector<double> step_exposed_max{};

  /// With NaN everywhere.
  Record();

  [[nodiscard]] bool finished() const { return !verdict.empty(); }
  [[nodiscard]] double flops_per_second() const { return flops / seconds; }
};

/// The group `strong` or `weak` of a results file: an axis of points, what is known of them, and
/// the numbers and texts of a Record.
[[nodiscard]] results::StudyLayout layout_of(Growth growth, std::span<const Point> points,
                                             int repetitions);

/// Stores the record of a point.
void write_record(results::StudyFile& file, const results::StudyLayout& layout, Index point,
                  const Record& record);

/// The records of all points; those that are not finished have no verdict.
[[nodiscard]] std::vector<Record> read_records(const results::StudyFile& file,
                                               const results::StudyLayout& layout);

}  // namespace annulus::sweep
