#include "annulus/plan/run.hpp"

namespace annulus {

Index row_count(const Shard& shard) {
  Index rows = 0;
  for (const auto& run : shard) rows += run.count;
  return rows;
}

Shard slice(const Shard& shard, Index begin, Index end) {
  Shard part;
  Index row = 0;
  for (const auto& run : shard) {
    const auto rows = run.slice(begin - row, end - row);
    if (rows.count > 0) part.push_back(rows);
    row += run.count;
  }
  return part;
}

std::vector<Index> packed_rows(const Shard& shard, std::span<const Index> offsets) {
  std::vector<Index> rows;
  rows.reserve(static_cast<std::size_t>(row_count(shard)));
  for (const auto& run : shard) {
    const Index start = offsets[static_cast<std::size_t>(run.document)] + run.first;
    for (Index i = 0; i < run.count; ++i) rows.push_back(start + i * run.stride);
  }
  return rows;
}

}  // namespace annulus
