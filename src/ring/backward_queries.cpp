#include "ring/backward_queries.hpp"

#include <algorithm>
#include <utility>

#include "annulus/device/tensor_copy.hpp"
#include "annulus/plan/heads.hpp"
#include "ring/device_tensors.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_queries.hpp"

namespace annulus::ring {
BackwardQueries::BackwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel,
                                 BufferPool& pool, const OwnQueries& own, const OwnRows& rows,
                                 TensorView dq, bool gains_too, kernels::PassOptions options)
    : QueryStore(plan, rank, pool, own),
      kernel_(kernel),
      rows_(rows),
      dq_(dq),
      gains_too_(gains_too),
      options_(std::move(options)),
      home_(begin(own_item())) {
  const bool travel = plan.schedule().queries_travel();
  if (travel || rows.dlse.present()) {
    means_ = {stream(), rows.lse.type, own.q.rows, own.q.heads, 1};
    home_.pass->write_mean(means_.view());
  }
  if (rows.dlse.present()) {
    home_.pass->add(means_.view(), -1, rows.dlse);
    home_ = begin(own_item());
  }
  if (travel) device::clear(*stream(), dq_);
}

kernels::BackwardQueries BackwardQueries::given_of(const Item& queries) const {
  const auto& heads = queries.heads;
  if (queries.owner == rank()) {
    kernels::BackwardQueries given{.q = heads_of(own().q, heads),
                                   .scale = {},
                                   .dout = heads_of(rows_.dout, heads),
                                   .lse = heads_of(rows_.lse, heads)};
    if (means_.view().present()) {
      given.mean = heads_of(means_.view(), heads);
    } else {
      given.out = heads_of(rows_.out, heads);
    }
    if (rows_.lse_low.present()) given.lse_low = heads_of(rows_.lse_low, heads);
    return given;
  }
  const auto there = packed_queries(plan(), queries, held(queries));
  const auto gradients = queries.as(What::output_gradients);
  const auto rows = packed_output_gradients(plan(), gradients, held(gradients));
  return {.q = there.q,
          .scale = {},
          .dout = rows.dout,
          .lse = rows.lse,
          .lse_low = rows.lse_low,
          .mean = rows.mean};
}

BackwardQueries::Part BackwardQueries::begin(const ItemList& queries) const {
  Part part{.queries = queries};
  std::vector<kernels::BackwardQueries> parts;
  std::vector<ConstTensorView> numbers;
  std::span<const double> known;
  for (const auto& item : queries) {
    parts.push_back(given_of(item));
    const auto of_item = row_numbers(item);
    numbers.push_back(of_item.there);
    known = of_item.here;
  }
  part.row_numbers = JoinedRows(stream(), numbers);
  part.head_factors = head_factors(plan().problem(), queries.heads(), own().gain);
  const auto join = [&](ConstTensorView kernels::BackwardQueries::*tensor) {
    std::vector<ConstTensorView> rows;
    for (const auto& given : parts) {
      if ((given.*tensor).present()) rows.push_back(given.*tensor);
    }
    return part.inputs.emplace_back(stream(), rows).view();
  };
  using Given = kernels::BackwardQueries;
  const Given given{
      .q = join(&Given::q),
      .scale = {.rows = part.row_numbers.view(),
                .heads = part.head_factors,
                .known_rows = queries.size() == 1 ? known : std::span<const double>()},
      .dout = join(&Given::dout),
      .lse = join(&Given::lse),
      .out = join(&Given::out),
      .lse_low = join(&Given::lse_low),
      .mean = join(&Given::mean)};
  auto options = options_;
  options.key_heads = key_heads_of(plan().problem(), queries.heads()).size();
  part.pass = kernel_.backward(given, options);
  return part;
}

kernels::BackwardPass& BackwardQueries::pass_of(const ItemList& queries) {
  return *part_of(queries).pass;
}

BackwardQueries::Part& BackwardQueries::part_of(const ItemList& queries) {
  if (queries == own_item()) return home_;
  const auto found = std::ranges::find(parts_, queries, &Part::queries);
  return found != parts_.end() ? *found : parts_.emplace_back(begin(queries));
}

void BackwardQueries::pack(const Item& item, std::span<std::byte> packed) {
  if (item.what == What::query_gradients) {
    const auto queries = item.as(What::queries);
    const auto with_others = std::ranges::find_if(
        parts_, [&](const Part& one) { return one.queries.contains(queries); });
    auto& part = with_others != parts_.end() ? *with_others : part_of(queries);
    write_made(part.queries, item, packed, part.dq, [&](TensorView dq) { write(part, dq); });
  } else if (item.what == What::queries) {
    pack_queries(plan(), item, own().q, own().table.there, *stream(), packed);
  } else {
    const auto to = packed_output_gradients(plan(), item, packed);
    const auto copy = [&](TensorView there, ConstTensorView all) {
      device::copy(*stream(), there, heads_of(all, item.heads));
    };
    copy(to.lse, rows_.lse);
    if (rows_.lse_low.present()) {
      copy(to.lse_low, rows_.lse_low);
    } else {
      device::clear(*stream(), to.lse_low);
    }
    copy(to.mean, means_.view());
    copy(to.dout, rows_.dout);
  }
}

void BackwardQueries::take_in(const Item& item, std::span<const std::byte> packed) {
  home_.pass->add(heads_of(dq_, item.heads), 1, packed_results(plan(), item, packed));
}

void BackwardQueries::let_go(const Item& item) {
  std::erase_if(parts_, [&](const Part& part) { return part.queries.contains(item); });
}

void BackwardQueries::write(Part& part, TensorView dq) {
  if (!gains_too_) return part.pass->finish(dq, {});
  const auto heads = part.queries.heads();
  const auto numbers = part.row_numbers.view();
  auto& terms =
      gain_terms_.emplace_back(GainTerms{heads,
                                         {stream(), numbers.type, numbers.rows, numbers.heads, 1},
                                         {stream(), dq.type, dq.rows, heads.size(), 1}});
  device::copy(*stream(), terms.row_numbers.view(), numbers);
  part.pass->finish(dq, terms.dscale.view());
}

void BackwardQueries::add_gain_gradients(std::span<double> dgain) const {
  for (const auto& terms : gain_terms_) {
    const HostInput numbers(*stream(), terms.row_numbers.view());
    const auto factors = head_factors(plan().problem(), terms.heads, {});
    const kernels::LogitScales per_gain{.rows = numbers.view(), .heads = factors};
    const auto dscale = numbers_of(HostInput(*stream(), terms.dscale.view()).view());
    auto given = dscale.begin();
    for (Index i = 0; i < terms.dscale.view().rows; ++i) {
      for (Index h = 0; h < terms.heads.size(); ++h) {
        dgain[static_cast<std::size_t>(terms.heads.begin + h)] += per_gain.at(i, h) * *given++;
      }
    }
  }
}

void BackwardQueries::finish() {
  if (!plan().schedule().queries_travel()) {
    write(home_, dq_);
    return;
  }
  if (plan().schedule().heads == 1) take_home(own_item().as(What::query_gradients));
  for (const auto& part : parts_) {
    const auto& own = part.queries.front();
    if (own.owner == rank()) take_home(own.as(What::query_gradients));
  }
}

}  // namespace annulus::ring
