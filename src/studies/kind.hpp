#pragma once
// What a kind of study is. One file a kind beside this one, and one line in kinds.cpp.

#include <string_view>
#include <vector>

#include "annulus/results/study_file.hpp"
#include "annulus/studies/study.hpp"

namespace annulus::studies {

/// Where a point lies: an index into each axis of the layout, slowest first.
using PointIndex = std::vector<std::size_t>;

struct StudyKind {
  std::string_view name;
  results::StudyLayout (*layout)(const StudyConfig& config);
  /// Collective. The measured variables of a point in the order of the layout, each with its inner
  /// axis spread out; the same on every rank.
  std::vector<double> (*measure)(const StudyConfig& config, const PointIndex& point,
                                 const Resources& resources);
};

/// The kind of a config.
[[nodiscard]] const StudyKind& kind_of(const StudyConfig& config);

}  // namespace annulus::studies
