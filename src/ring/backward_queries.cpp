#include "ring/backward_queries.hpp"

#include <algorithm>
#include <utility>

#include "annulus/device/tensor_copy.hpp"
#include "annulus/plan/heads.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_queries.hpp"
#include "ring/query_scale.hpp"

namespace annulus::ring {
BackwardQueries::BackwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel,
                                 BufferPool& pool, const OwnQueries& own, const OwnRows& rows,
                                 TensorView dq, std::span<double> dgain,
                                 kernels::PassOptions options)
    : QueryStore(plan, rank, pool),
      kernel_(kernel),
      own_(own),
      rows_(rows),
      dq_(dq),
      dgain_(dgain),
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

kernels::BackwardQueries BackwardQueries::given_of(const Item& queries, Part& part) const {
  const auto& problem = plan().problem();
  const auto& heads = queries.heads;
  const auto add_scale = [&](std::span<const double> betas, std::span<const double> table) {
    const auto add = [&](std::vector<double>& all, std::span<const double> gain) {
      const auto scale = query_scale(problem, betas, heads, gain, table);
      all.insert(all.end(), scale.begin(), scale.end());
    };
    add(part.scale, own_.gain);
    if (!dgain_.empty()) add(part.scale_without_gain, {});
  };
  kernels::BackwardQueries given;
  if (queries.owner == rank()) {
    add_scale(own_.betas, heads_of(own_.table, problem.query_heads, heads));
    given = {.q = heads_of(own_.q, heads),
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
  add_scale(row_betas(problem, plan().query_shard(queries.owner)),
            download_numbers(*stream(), there.betas));
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
  for (const auto& item : queries) parts.push_back(given_of(item, part));
  const auto join = [&](ConstTensorView kernels::BackwardQueries::*tensor) {
    std::vector<ConstTensorView> rows;
    for (const auto& given : parts) {
      if ((given.*tensor).present()) rows.push_back(given.*tensor);
    }
    return part.inputs.emplace_back(stream(), rows).view();
  };
  using Given = kernels::BackwardQueries;
  const Given given{.q = join(&Given::q),
                    .scale = part.scale,
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
    pack_queries(plan(), item, own_.q, own_.table, *stream(), packed);
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
  const auto heads = part.queries.heads();
  std::vector<double> dscale(part.scale_without_gain.size());
  part.pass->finish(dq, dscale);
  const auto count = static_cast<std::size_t>(heads.size());
  for (std::size_t at = 0; at < dscale.size(); ++at) {
    dgain_[static_cast<std::size_t>(heads.begin) + at % count] +=
        part.scale_without_gain[at] * dscale[at];
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
