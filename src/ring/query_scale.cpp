#include "ring/query_scale.hpp"

namespace annulus::ring {

std::vector<double> row_betas(const Problem& problem, const Shard& shard) {
  std::vector<double> betas;
  betas.reserve(static_cast<std::size_t>(row_count(shard)));
  for (const auto& run : shard) {
    for (Index i = 0; i < run.count; ++i) {
      const auto place = place_of(problem, run.document, run.first + i * run.stride);
      betas.push_back(problem.logit_scale.beta(place, problem.head_dim));
    }
  }
  return betas;
}

std::vector<double> query_scale(const Problem& problem, std::span<const double> betas,
                                Interval heads, std::span<const double> gain,
                                std::span<const double> table) {
  const auto count = static_cast<std::size_t>(heads.size());
  const auto first = static_cast<std::size_t>(heads.begin);
  const double base = problem.logit_scale.base(problem.head_dim);
  std::vector<double> scale(betas.size() * count);
  for (std::size_t i = 0; i < betas.size(); ++i) {
    for (std::size_t h = 0; h < count; ++h) {
      const double own = table.empty() ? betas[i] : table[i * count + h];
      scale[i * count + h] = (gain.empty() ? 1.0 : gain[first + h]) * base * own;
    }
  }
  return scale;
}

}  // namespace annulus::ring
