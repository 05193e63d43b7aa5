#include "ring/forward_queries.hpp"

#include <algorithm>
#include <utility>

#include "annulus/plan/heads.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_queries.hpp"
#include "ring/query_scale.hpp"

namespace annulus::ring {

ForwardQueries::ForwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel,
                               BufferPool& pool, const OwnQueries& own,
                               kernels::PassOptions options)
    : QueryStore(plan, rank, pool),
      kernel_(kernel),
      own_(own),
      options_(std::move(options)),
      scale_(query_scale(plan.problem(), own.betas, own_item().heads, own.gain, own.table)),
      home_(kernel.forward({.q = own.q, .scale = scale_, .sink = own.sink}, options_)) {}

ForwardQueries::Part ForwardQueries::begin(const Item& queries) const {
  const auto& problem = plan().problem();
  Part part{.item = queries, .scale = {}, .pass = {}};
  ConstTensorView q;
  if (queries.owner == rank()) {
    q = heads_of(own_.q, queries.heads);
    part.scale = heads_of(scale_, problem.query_heads, queries.heads);
  } else {
    const auto there = packed_queries(plan(), queries, held(queries));
    q = there.q;
    part.scale = query_scale(problem, row_betas(problem, plan().query_shard(queries.owner)),
                             queries.heads, own_.gain, download_numbers(*stream(), there.betas));
  }
  auto options = options_;
  options.key_heads = key_heads_of(problem, queries.heads).size();
  part.pass = kernel_.forward({.q = q, .scale = part.scale, .sink = {}}, options);
  return part;
}

kernels::ForwardPass& ForwardQueries::pass_of(const Item& queries) {
  if (queries == own_item()) return *home_;
  const auto found = std::ranges::find(parts_, queries, &Part::item);
  return *(found != parts_.end() ? *found : parts_.emplace_back(begin(queries))).pass;
}

void ForwardQueries::pack(const Item& item, std::span<std::byte> packed) {
  if (item.what == What::states) {
    pass_of(item.as(What::queries)).write_state(packed_results(plan(), item, packed));
    return;
  }
  pack_queries(plan(), item, own_.q, own_.table, *stream(), packed);
}

void ForwardQueries::take_in(const Item& item, std::span<const std::byte> packed) {
  home_->merge(packed_results(plan(), item, packed), item.heads.begin);
}

void ForwardQueries::let_go(const Item& item) {
  std::erase_if(parts_, [&](const Part& part) { return part.item == item; });
}

void ForwardQueries::finish(const ForwardOutputs& outputs) {
  for (const auto& part : parts_) {
    if (part.item.owner == rank()) take_home(part.item.as(What::states));
  }
  home_->finish(outputs);
}

}  // namespace annulus::ring
