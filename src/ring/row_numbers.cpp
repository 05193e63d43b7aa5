#include "ring/row_numbers.hpp"

namespace annulus::ring {

std::vector<double> head_factors(const Problem& problem, Interval heads,
                                 std::span<const double> gain) {
  const double base = problem.logit_scale.base(problem.head_dim);
  std::vector<double> factors;
  for (Index h = heads.begin; h < heads.end; ++h) {
    factors.push_back(gain.empty() ? base : gain[static_cast<std::size_t>(h)] * base);
  }
  return factors;
}

RowNumbers RowBetas::of(int rank) {
  auto made = made_.find(rank);
  if (made == made_.end()) {
    const auto& problem = plan_.problem();
    std::vector<double> here;
    for (const auto& run : plan_.query_shard(rank)) {
      for (Index i = 0; i < run.count; ++i) {
        const auto place = place_of(problem, run.document, run.first + i * run.stride);
        here.push_back(problem.logit_scale.beta(place, problem.head_dim));
      }
    }
    DeviceInput there(stream_, view_of(here, 1));
    made = made_.emplace(rank, Betas{std::move(here), std::move(there)}).first;
  }
  return {.there = made->second.there.view(), .here = made->second.here};
}

}  // namespace annulus::ring
