#pragma once
// What a kind of study is. One file a kind in kinds/, and one line in kinds/registry.cpp.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/results/study_file.hpp"
#include "annulus/studies/study.hpp"
#include "studies/key.hpp"

namespace annulus::studies {

/// Where a point lies: an index into each axis of the layout, slowest first.
using PointIndex = std::vector<std::size_t>;

struct StudyKind {
  std::string_view name;
  std::string_view description;
  std::vector<AnyKey> keys;  ///< in the order in which they are read and written
  /// Whose value is how many numbers a point has of each variable; null: one.
  const Key<Index>* inner = nullptr;
  /// What is wrong with keys that are each allowed; null: nothing.
  std::optional<Conflict> (*conflict)(const StudyConfig& config) = nullptr;
  /// How many fp64 numbers all ranks together hold, at least, for a point of length n.
  double (*numbers)(const StudyConfig& config, Index n);
  /// Of queries, keys and values, at most, of such a point.
  Index (*dimension)(const StudyConfig& config, Index n);
  results::StudyLayout (*layout)(const StudyConfig& config);
  /// Collective. The measured variables of a point in the order of the layout, each with its inner
  /// axis spread out; the same on every rank.
  std::vector<double> (*measure)(const StudyConfig& config, const PointIndex& point,
                                 const Resources& resources);
};

/// The registered kinds, in the order in which they are listed to users.
[[nodiscard]] std::span<const StudyKind* const> registered_kinds();

/// The kind of a config.
[[nodiscard]] const StudyKind& kind_of(const StudyConfig& config);

}  // namespace annulus::studies
