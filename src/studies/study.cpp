#include "annulus/studies/study.hpp"

#include <algorithm>

#include "annulus/comm/agreement.hpp"
#include "annulus/results/finished_points.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace {

/// Row-major `index` as an index into each axis.
PointIndex point_at(const results::StudyLayout& layout, Index index) {
  PointIndex point(layout.axes.size());
  for (std::size_t axis = point.size(); axis-- > 0;) {
    const auto size = static_cast<Index>(layout.axes[axis].values.size());
    point[axis] = static_cast<std::size_t>(index % size);
    index /= size;
  }
  return point;
}

}  // namespace

results::StudyLayout layout_of(const StudyConfig& config) {
  return kind_of(config).layout(config);
}

double least_memory(const StudyConfig& config, int ranks) {
  const auto longest = std::ranges::max(keys::n.of(config));
  return kind_of(config).numbers(config, longest) * sizeof(double) / ranks;
}

Index largest_dimension(const StudyConfig& config) {
  Index largest = 0;
  for (const Index n : keys::n.of(config)) {
    largest = std::max(largest, kind_of(config).dimension(config, n));
  }
  return largest;
}

void run_study(const StudyConfig& config, const Resources& resources, results::StudyFile* file,
               const PointFinished& finished) {
  const auto& kind = kind_of(config);
  const auto layout = kind.layout(config);
  const Index total = layout.points();
  auto& communicator = resources.communicator;
  const auto known = results::finished_points(file, total, communicator);
  Index done = std::ranges::count(known, true);
  if (finished) finished(done, total);
  for (Index index = 0; index < total; ++index) {
    if (known[static_cast<std::size_t>(index)]) continue;
    const auto values = kind.measure(config, point_at(layout, index), resources);
    comm::on_root(communicator, [&] { file->write_point(index, values); });
    ++done;
    if (finished) finished(done, total);
  }
  comm::on_root(communicator, [&] { file->complete(); });
}

}  // namespace annulus::studies
