#include "annulus/ring/pass_tensors.hpp"

#include <utility>

#include "annulus/base/error.hpp"

namespace annulus {

PassTensors::PassTensors(const Plan& plan, int rank, const WantedOutputs& wanted,
                         const std::shared_ptr<device::Stream>& stream)
    : wanted_(wanted) {
  const auto& problem = plan.problem();
  const Index rows = plan.query_rows(rank);
  const Index keys = plan.key_rows(rank);
  const Index heads = problem.query_heads;
  const auto make = [&](Index count, Index of_heads, Index dim) {
    return device::DeviceTensor(stream, accumulator_of(plan.data_type()), count, of_heads, dim);
  };
  out_ = make(rows, heads, problem.output_dim());
  lse_ = make(rows, heads, 1);
  if (wanted.statistics == Statistics::on) {
    for (std::size_t s = 0; s < row_statistics().size(); ++s) {
      statistics_.push_back(make(rows, heads, 1));
    }
    statistics_view_ = statistics_view_of(statistics_);
  }
  if (!wanted.backward) return;
  dq_ = make(rows, heads, problem.head_dim);
  dk_ = make(keys, problem.key_heads, problem.head_dim);
  dv_ = make(keys, problem.key_heads, problem.output_dim());
  if (wanted.parameters) dgain_.resize(static_cast<std::size_t>(heads));
}

PassReport PassTensors::forward(RingAttention& attention, const PassInputs& inputs) {
  held_ = {};
  return attention.forward(inputs.q, inputs.k, inputs.v, out(),
                           {.lse = lse(),
                            .statistics = statistics_view_,
                            .gain = inputs.gain,
                            .sink = inputs.sink,
                            .logit_scale = inputs.logit_scale,
                            .held = wanted_.backward ? &held_ : nullptr,
                            .poll = inputs.poll});
}

PassReport PassTensors::backward(RingAttention& attention, const PassInputs& inputs) {
  ensure(wanted_.backward, "a backward pass was wanted");
  if (wanted_.parameters) dsink_.resize(inputs.sink.size());
  auto held = std::exchange(held_, {});
  held_.lse_low = held.lse_low;  // shards alone are used up
  return attention.backward({.q = inputs.q,
                             .k = inputs.k,
                             .v = inputs.v,
                             .out = out(),
                             .lse = lse(),
                             .dout = inputs.dout,
                             .gain = inputs.gain,
                             .sink = inputs.sink,
                             .logit_scale = inputs.logit_scale,
                             .held = std::move(held),
                             .poll = inputs.poll},
                            {.dq = dq(), .dk = dk(), .dv = dv(), .dgain = dgain_, .dsink = dsink_});
}

}  // namespace annulus
