// /cu_seqlens and /cu_seqlens_k, as lists of integers, and the plans for them.
#include <cstdint>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/plan/plan.hpp"
#include "fuzz/choices.hpp"
#include "fuzz/fuzz.hpp"

namespace {

/// Mostly lengths that add up, now and then any number.
std::vector<annulus::Index> offsets_of(annulus::fuzz::Choices& choices) {
  std::vector<annulus::Index> offsets(choices.below(16));
  std::uint64_t last = 0;
  for (auto& offset : offsets) {
    offset = static_cast<annulus::Index>(last);
    last = choices.below(16) == 0 ? choices.number() : last + choices.number();
  }
  return offsets;
}

}  // namespace

void annulus::fuzz::read(std::string_view text) {
  Choices choices(text);
  const auto queries = offsets_of(choices);
  const auto keys = offsets_of(choices);
  Problem problem{
      .head_dim = 8,
      .documents = keys.empty() ? Documents::packed(queries) : Documents::packed(queries, keys)};
  ensure(problem.documents.count() == static_cast<Index>(queries.size()) - 1,
         "every two offsets are a document");
  validate(problem);
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(5, 3)}) {
    problem.mask = mask;
    Index area = -1;
    for (const int ranks : {1, 3}) {
      const auto cost = cost_of(make_plan(problem, {.ranks = ranks}));
      ensure(area < 0 || cost.area == area, "any number of ranks sees as many keys");
      area = cost.area;
    }
  }
}
