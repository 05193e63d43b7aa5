#include "annulus/sweep/sweep.hpp"

#include <algorithm>

#include "annulus/comm/agreement.hpp"
#include "annulus/results/finished_points.hpp"

namespace annulus::sweep {

std::vector<Record> run_sweep(std::span<const Point> points, const Resources& resources,
                              const Measuring& measuring, const Destination* destination,
                              const PointFinished& finished) {
  auto& world = resources.communicator;
  const auto total = static_cast<Index>(points.size());
  auto* file = destination == nullptr ? nullptr : destination->file;
  const auto known = destination == nullptr ? std::vector<bool>(points.size(), false)
                                            : results::finished_points(file, total, world);
  std::vector<Record> records(points.size());
  if (file != nullptr) records = read_records(*file, destination->layout);
  Index done = std::ranges::count(known, true);
  if (finished) finished(done, total);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (known[i] || points[i].ranks > world.size()) continue;
    if (const auto part = world.first(points[i].ranks)) {
      records[i] =
          measure_point(points[i], {*part, resources.kernel_of, resources.cores}, measuring);
    }
    // The others wait here until the point is measured.
    comm::on_root(world, [&] {
      if (file == nullptr) return;
      records[i].run = static_cast<double>(file->run());
      write_record(*file, destination->layout, static_cast<Index>(i), records[i]);
    });
    ++done;
    if (finished) finished(done, total);
  }
  if (destination != nullptr) {
    comm::on_root(world, [&] {
      if (file->all_finished()) file->complete();
    });
  }
  return records;
}

}  // namespace annulus::sweep
