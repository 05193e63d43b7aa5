#include "kernels/cuda/device_states.hpp"

#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {

StateShape StateShape::of(const Queries& queries, const PassOptions& options) {
  return {.rows = narrow<int>(queries.q.rows),
          .heads = narrow<int>(queries.q.heads),
          .value_dim = narrow<int>(options.value_dim),
          .statistics = options.statistics};
}

DeviceStates::DeviceStates(const Launcher& launcher, const StreamPointer& stream,
                           const StateShape& shape)
    : launcher_(launcher),
      stream_(stream),
      shape_(shape),
      maximum_(stream, shape.count()),
      sum_(stream, shape.count()),
      values_(stream, shape.count() * shape.value_dim) {}

DeviceStates::DeviceStates(const Launcher& launcher, const StreamPointer& stream,
                           const StateShape& shape, std::span<const double> sink)
    : DeviceStates(launcher, stream, shape) {
  if (shape.statistics) {
    moment_ = DeviceArray<double>(stream, shape.count());
    squares_ = DeviceArray<double>(stream, shape.count());
    self_logit_ = DeviceArray<float>(stream, shape.count());
  }
  const auto there = upload_narrowed(stream, sink);
  launcher_.start({.state = view(),
                   .sink = there.data(),
                   .rows = shape.rows,
                   .heads = shape.heads,
                   .value_dim = shape.value_dim},
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
  ensure(state.type == DataType::float32 &&
             state.has_shape(shape_.rows, shape_.heads, state_width(shape_.value_dim)),
         "the state has the type and shape of the pass");
  launcher_.write({.state = view(),
                   .to = {static_cast<float*>(state.data), state.row_stride, state.head_stride},
                   .rows = shape_.rows,
                   .heads = shape_.heads,
                   .value_dim = shape_.value_dim},
                  *stream_);
}

void DeviceStates::merge(ConstTensorView state, Index first_head) {
  ensure(state.type == DataType::float32 && state.rows == shape_.rows &&
             state.dim == state_width(shape_.value_dim) && first_head >= 0 &&
             first_head + state.heads <= shape_.heads,
         "a state of rows and heads of the pass is merged");
  launcher_.merge(
      {.state = view(),
       .from = {static_cast<const float*>(state.data), state.row_stride, state.head_stride},
       .rows = shape_.rows,
       .heads = narrow<int>(state.heads),
       .first_head = narrow<int>(first_head),
       .all_heads = shape_.heads,
       .value_dim = shape_.value_dim},
      *stream_);
}

void DeviceStates::merge(const DeviceStates& parts, const TileParts* tiles, int count) {
  launcher_.merge({.state = view(),
                   .parts = parts.view(),
                   .tiles = tiles,
                   .count = count,
                   .heads = shape_.heads,
                   .value_dim = shape_.value_dim},
                  *stream_);
}

void DeviceStates::finish(const ForwardOutputs& outputs) const {
  const auto& statistics = outputs.statistics;
  ensure(shape_.statistics || !statistics.present(),
         "statistics are kept from the start of a pass");
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
                    .rows = shape_.rows,
                    .heads = shape_.heads,
                    .value_dim = shape_.value_dim,
                    .out = out.data(),
                    .lse = lse.data(),
                    .lse_low = lse_low.data(),
                    .statistics = on_device.data()},
                   *stream_);
  for (const auto* output : {&out, &lse, &lse_low}) output->finish();
  for (const auto& table : tables) table.finish();
}

}  // namespace annulus::kernels::gpu
