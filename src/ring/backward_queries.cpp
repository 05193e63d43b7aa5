#include "ring/backward_queries.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/tensor.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/plan/heads.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_queries.hpp"
#include "ring/query_scale.hpp"

namespace annulus::ring {
namespace {

/// from -= what: a number for each row and head, on the device.
void subtract(device::Stream& stream, TensorView from, ConstTensorView what) {
  Tensor left(from.type, from.rows, from.heads, 1);
  Tensor right(what.type, what.rows, what.heads, 1);
  device::download(stream, left.view(), from);
  device::download(stream, right.view(), what);
  with_accumulator(from.type, [&]<class T>() {
    for (Index i = 0; i < from.rows; ++i) {
      for (Index h = 0; h < from.heads; ++h) {
        *left.view().row<T>(i, h) -= *std::as_const(right).view().row<T>(i, h);
      }
    }
  });
  device::upload(stream, from, left.view());
}

}  // namespace

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
    subtract(*stream(), means_.view(), rows.dlse);
    home_ = begin(own_item());
  }
  if (travel) device::clear(*stream(), dq_);
}

BackwardQueries::Part BackwardQueries::begin(const Item& queries) const {
  const auto& problem = plan().problem();
  const auto& heads = queries.heads;
  Part part{.item = queries, .scale = {}, .scale_without_gain = {}, .pass = {}};
  kernels::BackwardQueries given;
  const auto scale_by = [&](std::span<const double> betas, std::span<const double> table) {
    part.scale = query_scale(problem, betas, heads, own_.gain, table);
    if (!dgain_.empty()) part.scale_without_gain = query_scale(problem, betas, heads, {}, table);
  };
  if (queries.owner == rank()) {
    scale_by(own_.betas, heads_of(own_.table, problem.query_heads, heads));
    given = {.q = heads_of(own_.q, heads),
             .scale = part.scale,
             .dout = heads_of(rows_.dout, heads),
             .lse = heads_of(rows_.lse, heads)};
    if (means_.view().present()) {
      given.mean = heads_of(means_.view(), heads);
    } else {
      given.out = heads_of(rows_.out, heads);
    }
    if (rows_.lse_low.present()) given.lse_low = heads_of(rows_.lse_low, heads);
  } else {
    const auto there = packed_queries(plan(), queries, held(queries));
    const auto gradients = queries.as(What::output_gradients);
    const auto rows = packed_output_gradients(plan(), gradients, held(gradients));
    scale_by(row_betas(problem, plan().query_shard(queries.owner)),
             download_numbers(*stream(), there.betas));
    given = {.q = there.q,
             .scale = part.scale,
             .dout = rows.dout,
             .lse = rows.lse,
             .lse_low = rows.lse_low,
             .mean = rows.mean};
  }
  auto options = options_;
  options.key_heads = key_heads_of(problem, heads).size();
  part.pass = kernel_.backward(given, options);
  return part;
}

kernels::BackwardPass& BackwardQueries::pass_of(const Item& queries) {
  return *part_of(queries).pass;
}

BackwardQueries::Part& BackwardQueries::part_of(const Item& queries) {
  if (queries == own_item()) return home_;
  const auto found = std::ranges::find(parts_, queries, &Part::item);
  return found != parts_.end() ? *found : parts_.emplace_back(begin(queries));
}

void BackwardQueries::pack(const Item& item, std::span<std::byte> packed) {
  if (item.what == What::query_gradients) {
    write(part_of(item.as(What::queries)), packed_results(plan(), item, packed));
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
  home_.pass->add(heads_of(dq_, item.heads), packed_results(plan(), item, packed));
}

void BackwardQueries::let_go(const Item& item) {
  std::erase_if(parts_, [&](const Part& part) { return part.item == item; });
}

void BackwardQueries::write(Part& part, TensorView dq) {
  const auto heads = part.item.heads;
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
    if (part.item.owner == rank()) take_home(part.item.as(What::query_gradients));
  }
}

}  // namespace annulus::ring
