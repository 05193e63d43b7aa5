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

ForwardQueries::Part ForwardQueries::begin(const ItemList& queries) const {
  const auto& problem = plan().problem();
  Part part{.queries = queries};
  std::vector<ConstTensorView> q;
  const auto add = [&](ConstTensorView rows, const std::vector<double>& scale) {
    q.push_back(rows);
    part.scale.insert(part.scale.end(), scale.begin(), scale.end());
  };
  for (const auto& item : queries) {
    if (item.owner == rank()) {
      add(heads_of(own_.q, item.heads), heads_of(scale_, problem.query_heads, item.heads));
      continue;
    }
    const auto there = packed_queries(plan(), item, held(item));
    add(there.q, query_scale(problem, row_betas(problem, plan().query_shard(item.owner)),
                             item.heads, own_.gain, download_numbers(*stream(), there.betas)));
  }
  part.q = JoinedRows(stream(), q);
  auto options = options_;
  options.key_heads = key_heads_of(problem, queries.heads()).size();
  part.pass = kernel_.forward({.q = part.q.view(), .scale = part.scale, .sink = {}}, options);
  return part;
}

kernels::ForwardPass& ForwardQueries::pass_of(const ItemList& queries) {
  if (queries == own_item()) return *home_;
  const auto found = std::ranges::find(parts_, queries, &Part::queries);
  return *(found != parts_.end() ? *found : parts_.emplace_back(begin(queries))).pass;
}

void ForwardQueries::pack(const Item& item, std::span<std::byte> packed) {
  if (item.what == What::queries) {
    pack_queries(plan(), item, own_.q, own_.table, *stream(), packed);
    return;
  }
  const auto has = [queries = item.as(What::queries)](const Part& part) {
    return part.queries.contains(queries);
  };
  auto part = std::ranges::find_if(parts_, has);
  if (part == parts_.end()) part = parts_.insert(part, begin(item.as(What::queries)));
  write_made(part->queries, item, packed, part->states,
             [&](TensorView states) { part->pass->write_state(states); });
}

void ForwardQueries::take_in(const Item& item, std::span<const std::byte> packed) {
  home_->merge(packed_results(plan(), item, packed), item.heads.begin);
}

void ForwardQueries::let_go(const Item& item) {
  std::erase_if(parts_, [&](const Part& part) { return part.queries.contains(item); });
}

void ForwardQueries::finish(const ForwardOutputs& outputs) {
  for (const auto& part : parts_) {
    const auto& own = part.queries.front();
    if (own.owner == rank()) take_home(own.as(What::states));
  }
  home_->finish(outputs);
}

}  // namespace annulus::ring
