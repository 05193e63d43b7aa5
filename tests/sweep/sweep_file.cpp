// A scaling study in its file.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include "annulus/comm/threads.hpp"
#include "results/scratch.hpp"
#include "support/schedules.hpp"
#include "sweep/sample.hpp"

namespace annulus::sweep {
namespace {

using results::Existing;
using results::Scratch;
using results::StudyFile;

StudyFile open(const std::string& path, const results::StudyLayout& layout, Existing existing) {
  results::Provenance provenance;
  provenance.config = "kind = \"strong\"\n";
  return {path, layout, provenance, existing};
}

Record sample_record() {
  Record record;
  record.verdict = "VALID";
  record.schedule = "heads:2+tiles:2x1";
  record.sharding = "balanced";
  record.threads = 3;
  record.seconds = 0.25;
  record.flops = 1e9;
  record.samples = {0.25, 0.5};
  record.rank_seconds = {0.125, 0.25};
  record.step_exposed_max = {0, 0.0625, 0};
  return record;
}

TEST(SweepFile, GivesRecordsBack) {
  const Scratch scratch;
  const auto points = sample_points({1, 2});
  const auto layout = layout_of(Growth::none, points, 2);
  auto file = open(scratch / "r.h5", layout, Existing::refuse);
  write_record(file, layout, 1, sample_record());
  const auto records = read_records(file, layout);
  ASSERT_EQ(records.size(), points.size());
  EXPECT_FALSE(records[0].finished());
  const auto& read = records[1];
  EXPECT_EQ(read.verdict, "VALID");
  EXPECT_EQ(read.schedule, "heads:2+tiles:2x1");
  EXPECT_EQ(read.sharding, "balanced");
  EXPECT_EQ(read.threads, 3);
  EXPECT_EQ(read.seconds, 0.25);
  EXPECT_TRUE(std::isnan(read.link_bandwidth));
  EXPECT_EQ(read.samples, (std::vector{0.25, 0.5}));
  EXPECT_EQ(read.rank_seconds, (std::vector{0.125, 0.25}));
  EXPECT_EQ(read.step_exposed_max, (std::vector{0.0, 0.0625, 0.0}));
  EXPECT_TRUE(read.exposed_samples.empty());
}

TEST(SweepFile, HasRoomForEveryPass) {
  for (int ranks = 1; ranks <= 8; ++ranks) {
    auto point = sample_points({ranks}).front();
    point.problem.query_heads = point.problem.key_heads = 12;
    const auto layout = layout_of(Growth::none, std::span(&point, 1), 1);
    const auto room = layout.inner_axes.back().values.size();
    auto schedules = test::schedules_for(ranks, 12);
    schedules.push_back(annulus::Schedule::ring);
    for (const auto& schedule : schedules) {
      const auto plan =
          make_plan(point.problem, even_topology(ranks, ranks), {.schedule = schedule});
      for (const auto pass : {Pass::forward, Pass::backward}) {
        EXPECT_LE(plan.program(0, pass).steps.size() + 1, room)
            << name_of(schedule) << " on " << ranks;
      }
    }
  }
}

/// One job of `ranks` threads that fills what it can; returns the records.
std::vector<Record> fill(const std::string& path, const std::vector<Point>& points, int ranks) {
  const auto layout = layout_of(Growth::none, points, 2);
  std::vector<Record> all;
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    std::optional<StudyFile> file;
    if (communicator.rank() == 0) file.emplace(open(path, layout, Existing::resume));
    const Destination destination{file ? &*file : nullptr, layout};
    const auto records =
        run_sweep(points, cpu_resources(communicator), {.repetitions = {.count = 2}}, &destination);
    if (communicator.rank() == 0) all = records;
  });
  return all;
}

TEST(SweepFile, IsFilledByJobsOfMoreAndMoreRanks) {
  const Scratch scratch;
  const auto points = sample_points({1, 2, 3});
  std::vector<double> seconds;
  for (const int job : {1, 2, 3}) {
    const auto records = fill(scratch / "r.h5", points, job);
    for (std::size_t i = 0; i < points.size(); ++i) {
      EXPECT_EQ(records[i].finished(), points[i].ranks <= job);
      if (points[i].ranks <= job) {
        EXPECT_EQ(records[i].run, points[i].ranks - 1);
      }
    }
    if (job == 1) seconds = {records[0].seconds, records[3].seconds};
    EXPECT_EQ(records[0].seconds, seconds[0]) << "a finished point is not measured again";
    EXPECT_EQ(records[3].seconds, seconds[1]);
  }
  const auto layout = layout_of(Growth::none, points, 2);
  const auto complete = open(scratch / "r.h5", layout, Existing::resume);
  EXPECT_TRUE(complete.all_finished());
  EXPECT_EQ(complete.run(), 3);
  EXPECT_EQ(scratch.entries(), 1);
}

}  // namespace
}  // namespace annulus::sweep
