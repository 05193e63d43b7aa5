#include "kernels/cuda/device_states.hpp"

#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {

DeviceStates::DeviceStates(const Launcher& launcher, const StreamPointer& stream,
                           const Queries& queries, const PassOptions& options)
    : launcher_(launcher),
      stream_(stream),
      rows_(narrow<int>(queries.q.rows)),
      heads_(narrow<int>(queries.q.heads)),
      value_dim_(narrow<int>(options.value_dim)),
      statistics_(options.statistics),
      maximum_(stream, queries.q.rows * queries.q.heads),
      sum_(stream, queries.q.rows * queries.q.heads),
      values_(stream, queries.q.rows * queries.q.heads * options.value_dim) {
  const Index numbers = queries.q.rows * queries.q.heads;
  ensure(std::ssize(queries.scale) == numbers, "one scale per query row and head");
  if (statistics_) {
    moment_ = DeviceArray<double>(stream, numbers);
    squares_ = DeviceArray<double>(stream, numbers);
    self_logit_ = DeviceArray<float>(stream, numbers);
  }
  const auto sink = upload_narrowed(stream, queries.sink);
  launcher_.start({.state = view(),
                   .sink = sink.data(),
                   .rows = rows_,
                   .heads = heads_,
                   .value_dim = value_dim_},
                  *stream_);
}

DeviceState DeviceStates::view() const {
  return {.maximum = maximum_.data(),
          .sum = sum_.data(),
          .moment = moment_.data(),
          .squares = squares_.data(),
          .self_logit = self_logit_.data(),
          .values = values_.data()};
}

static_assert(stored_scalars == state_width(0));

void DeviceStates::write(TensorView state) const {
  ensure(state.type == DataType::float32 && state.has_shape(rows_, heads_, state_width(value_dim_)),
         "the state has the type and shape of the pass");
  launcher_.write({.state = view(),
                   .to = {static_cast<float*>(state.data), state.row_stride, state.head_stride},
                   .rows = rows_,
                   .heads = heads_,
                   .value_dim = value_dim_},
                  *stream_);
}

void DeviceStates::merge(ConstTensorView state, Index first_head) {
  ensure(state.type == DataType::float32 && state.rows == rows_ &&
             state.dim == state_width(value_dim_) && first_head >= 0 &&
             first_head + state.heads <= heads_,
         "a state of rows and heads of the pass is merged");
  launcher_.merge(
      {.state = view(),
       .from = {static_cast<const float*>(state.data), state.row_stride, state.head_stride},
       .rows = rows_,
       .heads = narrow<int>(state.heads),
       .first_head = narrow<int>(first_head),
       .all_heads = heads_,
       .value_dim = value_dim_},
      *stream_);
}

void DeviceStates::finish(const ForwardOutputs& outputs) const {
  const auto& statistics = outputs.statistics;
  ensure(statistics_ || !statistics.present(), "statistics are kept from the start of a pass");
  const DenseOutput out(stream_, outputs.out);
  const DenseOutput lse(stream_, outputs.lse);
  const DenseOutput lse_low(stream_, outputs.lse_low);
  std::vector<DenseOutput> tables;
  std::vector<float*> addresses;
  if (statistics.present()) {
    for (const auto& table : statistics.views) {
      addresses.push_back(tables.emplace_back(stream_, table).data());
    }
  }
  const DeviceArray<float*> on_device(stream_, addresses);
  launcher_.finish({.state = view(),
                    .rows = rows_,
                    .heads = heads_,
                    .value_dim = value_dim_,
                    .out = out.data(),
                    .lse = lse.data(),
                    .lse_low = lse_low.data(),
                    .statistics = on_device.data()},
                   *stream_);
  for (const auto* output : {&out, &lse, &lse_low}) output->finish();
  for (const auto& table : tables) table.finish();
}

}  // namespace annulus::kernels::gpu
