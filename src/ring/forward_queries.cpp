#include "ring/forward_queries.hpp"

#include <algorithm>
#include <utility>

#include "annulus/plan/heads.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_queries.hpp"

namespace annulus::ring {

ForwardQueries::ForwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel,
                               BufferPool& pool, const OwnQueries& own,
                               kernels::PassOptions options, const Program& program,
                               ForwardOutputs outputs)
    : QueryStore(plan, rank, pool, own),
      kernel_(kernel),
      options_(std::move(options)),
      head_factors_(head_factors(plan.problem(), own_item().heads, own.gain)),
      home_(begin_home()),
      outputs_(std::move(outputs)),
      last_(last_compute(program)) {}

const Compute* ForwardQueries::last_compute(const Program& program) const {
  const Compute* last = nullptr;
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) {
      if (compute.queries != own_item()) return nullptr;
      last = &compute;
    }
    const auto is_state = [](const Transfer& transfer) {
      return transfer.item.what == What::states;
    };
    if (std::ranges::any_of(step.receives, is_state)) return nullptr;
  }
  return last;
}

std::unique_ptr<kernels::ForwardPass> ForwardQueries::begin_home() const {
  const auto numbers = row_numbers(own_item());
  return kernel_.forward(
      {.q = own().q,
       .scale = {.rows = numbers.there, .heads = head_factors_, .known_rows = numbers.here},
       .sink = own().sink},
      options_);
}

ForwardQueries::Part ForwardQueries::begin(const ItemList& queries) const {
  const auto& problem = plan().problem();
  Part part{.queries = queries};
  std::vector<ConstTensorView> q;
  std::vector<ConstTensorView> numbers;
  for (const auto& item : queries) {
    q.push_back(item.owner == rank() ? heads_of(own().q, item.heads)
                                     : packed_queries(plan(), item, held(item)).q);
    numbers.push_back(row_numbers(item).there);
  }
  part.q = JoinedRows(stream(), q);
  part.row_numbers = JoinedRows(stream(), numbers);
  part.head_factors = head_factors(problem, queries.heads(), own().gain);
  auto options = options_;
  options.key_heads = key_heads_of(problem, queries.heads()).size();
  part.pass =
      kernel_.forward({.q = part.q.view(),
                       .scale = {.rows = part.row_numbers.view(), .heads = part.head_factors},
                       .sink = {}},
                      options);
  return part;
}

kernels::ForwardPass& ForwardQueries::pass_of(const ItemList& queries) {
  if (queries == own_item()) return *home_;
  const auto found = std::ranges::find(parts_, queries, &Part::queries);
  return *(found != parts_.end() ? *found : parts_.emplace_back(begin(queries))).pass;
}

void ForwardQueries::pack(const Item& item, std::span<std::byte> packed) {
  if (item.what == What::queries) {
    pack_queries(plan(), item, own().q, own().table.there, *stream(), packed);
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

void ForwardQueries::accumulate(const Compute& compute, ConstTensorView k, ConstTensorView v,
                                const kernels::Poll& poll) {
  const auto blocks = plan().blocks(compute);
  if (&compute != last_) {
    pass_of(compute.queries).accumulate(k, v, blocks, poll);
    return;
  }
  home_->accumulate_last(k, v, blocks, poll, outputs_);
  finished_ = true;
}

void ForwardQueries::finish() {
  if (finished_) return;
  for (const auto& part : parts_) {
    const auto& own = part.queries.front();
    if (own.owner == rank()) take_home(own.as(What::states));
  }
  home_->finish(outputs_);
}

}  // namespace annulus::ring
