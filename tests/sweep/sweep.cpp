// What is measured of points.
#include "annulus/sweep/sweep.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "annulus/comm/threads.hpp"
#include "annulus/plan/cost.hpp"
#include "sweep/sample.hpp"

namespace annulus::sweep {
namespace {

double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

void expect_measured(const Record& record, const Point& point, const Topology& topology) {
  EXPECT_EQ(record.verdict, "VALID");
  EXPECT_EQ(record.schedule, "ring");
  EXPECT_EQ(record.sharding, "zigzag");
  const auto plan = make_plan(point.problem, topology, point.options);
  const auto cost = cost_of(plan, point.pass);
  EXPECT_EQ(record.bytes_sent, static_cast<double>(cost.bytes_sent));
  EXPECT_EQ(record.bytes_between_nodes, 0) << "threads are on one node";
  EXPECT_EQ(record.flops, cost.flops);
  EXPECT_EQ(record.samples.size(), 3U);
  EXPECT_LE(record.seconds_min, record.seconds);
  EXPECT_LE(record.seconds, record.seconds_max);
  ASSERT_EQ(record.rank_seconds.size(), static_cast<std::size_t>(point.ranks));
  for (std::size_t rank = 0; rank < record.rank_seconds.size(); ++rank) {
    EXPECT_GT(record.rank_compute_seconds[rank], 0);
    EXPECT_GE(record.rank_seconds[rank],
              record.rank_compute_seconds[rank] + record.rank_exposed_seconds[rank]);
  }
  // Steps and ranks are two ways to add up the same.
  EXPECT_EQ(record.step_compute_mean.size(), plan.program(0, point.pass).steps.size() + 1);
  EXPECT_NEAR(total(record.step_compute_mean) * point.ranks, total(record.rank_compute_seconds),
              1e-9);
  EXPECT_NEAR(total(record.step_exposed_mean) * point.ranks, total(record.rank_exposed_seconds),
              1e-9);
  EXPECT_LE(record.balance, 1);
  EXPECT_EQ(std::isnan(record.link_bandwidth), cost.bytes_sent == 0);
  EXPECT_EQ(std::isnan(record.overlap), cost.bytes_sent == 0);
}

TEST(Sweep, MeasuresWhatItsRanksAreEnoughFor) {
  const auto points = sample_points({1, 2, 3, 5});
  comm::run_threads(3, [&](comm::Communicator& communicator) {
    std::vector<Index> progress;
    const auto records =
        run_sweep(points, cpu_resources(communicator), {.repetitions = {.count = 3}}, nullptr,
                  [&](Index done, Index total) {
                    EXPECT_EQ(total, 8);
                    progress.push_back(done);
                  });
    EXPECT_EQ(progress, (std::vector<Index>{0, 1, 2, 3, 4, 5, 6}));
    if (communicator.rank() != 0) return;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (points[i].ranks > 3) {
        EXPECT_FALSE(records[i].finished());
      } else {
        expect_measured(records[i], points[i], even_topology(points[i].ranks, points[i].ranks));
      }
    }
  });
}

TEST(Sweep, GoesOnWhereAScheduleDoesNotFit) {
  auto points = sample_points({1, 2});
  for (auto& point : points) point.options.schedule = parse_schedule("heads:2");
  comm::run_threads(2, [&](comm::Communicator& communicator) {
    check_schedules(points, communicator.topology());
    const auto records = run_sweep(points, cpu_resources(communicator), {}, nullptr);
    if (communicator.rank() != 0) return;
    EXPECT_EQ(records[0].verdict, "UNFIT");
    EXPECT_NE(records[0].reason.find("heads:2"), std::string::npos) << records[0].reason;
    EXPECT_TRUE(std::isnan(records[0].seconds));
    EXPECT_EQ(records[1].verdict, "VALID");
    EXPECT_EQ(records[1].schedule.substr(0, 7), "heads:2");
  });
}

TEST(Sweep, RefusesAScheduleThatFitsNowhere) {
  auto points = sample_points({1, 2});
  for (auto& point : points) point.options.schedule = parse_schedule("tiles:3x1");
  EXPECT_THROW(check_schedules(points, even_topology(2, 2)), InputError);
  EXPECT_NO_THROW(check_schedules(sample_points({1, 2}), even_topology(2, 2)));
  // Another job, of so many ranks, finds out.
  EXPECT_NO_THROW(check_schedules(points, even_topology(1, 1)));
  points.back().options.schedule = parse_schedule("ring");
  EXPECT_NO_THROW(check_schedules(points, even_topology(2, 2)));
}

}  // namespace
}  // namespace annulus::sweep
