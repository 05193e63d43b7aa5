#include "kernels/cuda/passes.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "kernels/cuda/device_sums.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {
namespace {

constexpr Index most_counts = std::numeric_limits<int>::max();

/// The stream of a pass, which is a GPU's.
const StreamPointer& stream_of(const PassOptions& options) {
  ensure(options.stream->device().kind == DeviceKind::cuda,
         "the cuda backend computes on a stream of a GPU");
  return options.stream;
}

KernelChoice choice_for(ConstTensorView q, const PassOptions& options, const KernelWish& wish) {
  ensure(options.key_heads >= 1 && q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  auto choice = choose_kernel(q.type, q.dim, options.value_dim, wish.path);
  choice.in_order = wish.in_order;
  choice.statistics = options.statistics;
  return choice;
}

/// The scale of all queries, where sums of dk may be multiplied by it instead of what is summed.
float one_scale_of(const LogitScales& scales) {
  const double scale = scales.one().value_or(0.0);
  return std::abs(scale) <= 1 ? static_cast<float>(scale) : 0.0F;
}

}  // namespace

GpuForward::GpuForward(const Launcher& launcher, const KernelWish& wish, const Queries& queries,
                       const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_of(options)),
      tiles_(kept_tiles(launcher, options)),
      choice_(choice_for(queries.q, options, wish)),
      q_(stream_, queries.q),
      scale_(device_scales(launcher, stream_, queries.scale, queries.q)),
      key_heads_(narrow<int>(options.key_heads)),
      states_(launcher, stream_, StateShape::of(queries, options), queries.sink) {}

void GpuForward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                            const Poll& poll) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == states_.shape().value_dim && k.rows == v.rows,
         "keys and values have the shapes of the pass");
  const auto [choice, shared] = tiling_for(blocks);
  const int heads = states_.shape().heads;
  const auto& tiles = tiles_->forward(choice, shared, heads / shared, blocks);
  if (!tiles.list.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    ForwardArguments arguments{.q = q_.rows(),
                               .k = keys.rows(),
                               .v = values.rows(),
                               .rows = states_.shape().rows,
                               .keys = k.rows,
                               .scale = scale_.data(),
                               .heads = heads,
                               .group = heads / key_heads_,
                               .shared = shared,
                               .state = states_.view(),
                               .tiles = tiles.list.view()};
    if (tiles.parted_count == 0) {
      launcher_.forward(choice, arguments, *stream_);
    } else {
      auto shape = states_.shape();
      shape.rows = tiles.state_rows;
      const DeviceStates of_parts(launcher_, stream_, shape, {});
      arguments.state = of_parts.view();
      launcher_.forward(choice, arguments, *stream_);
      states_.merge(of_parts, tiles.parted.data(), tiles.parted_count);
    }
  }
  if (poll) poll();
}

GpuForward::Tiling GpuForward::tiling_for(std::span<const Block> blocks) const {
  const int group = states_.shape().heads / key_heads_;
  Index most = 0;
  for (const auto& block : blocks) most = std::max(most, block.queries.count);
  const auto fits = [&](const KernelChoice& choice) {
    return most * group <= forward_tile_rows(choice);
  };
  const auto few = of_few_rows(choice_);
  if (fits(few)) return {few, group};
  return {choice_, fits(choice_) ? group : 1};
}

void GpuForward::finish(const ForwardOutputs& outputs) {
  states_.finish(outputs);
}

void GpuForward::write_state(TensorView state) const {
  states_.write(state);
}

void GpuForward::merge(ConstTensorView state, Index first_head) {
  states_.merge(state, first_head);
}

GpuBackward::GpuBackward(const Launcher& launcher, const KernelWish& wish,
                         const BackwardQueries& queries, const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_of(options)),
      tiles_(kept_tiles(launcher, options)),
      choice_(choice_for(queries.q, options, wish)),
      q_(stream_, queries.q),
      dout_(stream_, queries.dout),
      scale_(device_scales(launcher, stream_, queries.scale, queries.q)),
      one_scale_(one_scale_of(queries.scale)),
      rows_(narrow<int>(queries.q.rows)),
      heads_(narrow<int>(queries.q.heads)),
      key_heads_(narrow<int>(options.key_heads)),
      numbers_(stream_, queries.q.rows * queries.q.heads * query_numbers),
      sums_(stream_, queries.q.rows * queries.q.heads * queries.q.dim),
      turn_sums_(launcher, stream_, choice_, heads_, narrow<int>(queries.q.dim),
                 all_gradients_most_turns(choice_)) {
  const auto& q = queries.q;
  ensure(queries.dout.has_shape(q.rows, q.heads, options.value_dim) &&
             queries.lse.has_shape(q.rows, q.heads, 1) &&
             (!queries.lse_low.present() || queries.lse_low.has_shape(q.rows, q.heads, 1)),
         "the gradient of the output and lse have the shapes of the pass");
  if (sums_.bytes() > 0) stream_->clear(sums_.data(), sums_.bytes());
  mean_ = device_means(launcher, stream_, queries, dout_.rows());
  write_numbers(queries);
}

void GpuBackward::write_numbers(const BackwardQueries& queries) {
  const DenseInput lse(stream_, queries.lse);
  const auto write = [&](const float* lse_low) {
    launcher_.write({.scale = scale_.data(),
                     .lse = lse.data(),
                     .lse_low = lse_low,
                     .mean = mean_.data(),
                     .rows = rows_,
                     .heads = heads_,
                     .queries = numbers_.data()},
                    *stream_);
  };
  if (queries.lse_low.present()) {
    write(DenseInput(stream_, queries.lse_low).data());
  } else {
    write(nullptr);
  }
}

void GpuBackward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                             TensorView dk, TensorView dv, const Poll& poll) {
  accumulate(k, v, blocks, dk, dv, false);
  if (poll) poll();
}

void GpuBackward::accumulate_first(ConstTensorView k, ConstTensorView v,
                                   std::span<const Block> blocks, TensorView dk, TensorView dv,
                                   const Poll& poll) {
  accumulate(k, v, blocks, dk, dv, true);
  if (poll) poll();
}

void GpuBackward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                             TensorView dk, TensorView dv, bool first) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == dout_.rows().dim && k.rows == v.rows &&
             dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
         "keys, values and their gradients have the shapes of the pass");
  const auto& tiles = tiles_->gradients(choice_, key_heads_, heads_ / key_heads_, blocks);
  // A sum of one panel is written; all others are added to.
  const bool starts = first && !tiles.key_panels;
  if (first) {
    const auto written =
        starts ? std::span<const Interval>(tiles.keys) : std::span<const Interval>();
    clear_other_rows(*stream_, dk, written);
    clear_other_rows(*stream_, dv, written);
  }
  if (!tiles.of_keys.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    const LongSums key_sums(stream_, dk, tiles.key_panels, starts);
    const LongSums value_sums(stream_, dv, tiles.key_panels, starts);
    GradientArguments arguments{.q = q_.rows(),
                                .k = keys.rows(),
                                .v = values.rows(),
                                .dout = dout_.rows(),
                                .rows = rows_,
                                .keys = k.rows,
                                .queries = numbers_.data(),
                                .one_scale = one_scale_,
                                .heads = heads_,
                                .group = heads_ / key_heads_,
                                .query_sums = sums_.data(),
                                .dk = key_sums.view(),
                                .dv = value_sums.view(),
                                .tiles = tiles.of_keys.view()};
    if (tiles.in_turns()) {
      add_in_turns(tiles, arguments);
    } else {
      launcher_.add_key_gradients(choice_, arguments, *stream_);
      arguments.tiles = tiles.of_queries.view();
      launcher_.add_query_gradients(choice_, arguments, *stream_);
    }
  }
}

void GpuBackward::add_in_turns(const GradientTiles& tiles, GradientArguments arguments) {
  const Index counts = std::ssize(tiles.steps) * heads_ * all_gradients_counts(choice_);
  ensure(counts <= most_counts, "the turns of a pass are counted in 32 bits");
  const DeviceArray<std::uint32_t> numbers(stream_, 1 + counts);
  stream_->clear(numbers.data(), numbers.bytes());
  arguments.turns = {.tickets = numbers.data(),
                     .counts = choice_.in_order ? numbers.data() + 1 : nullptr,
                     .sums = turn_sums_.of(tiles, sums_.data())};
  launcher_.add_all_gradients(choice_, arguments, *stream_);
}

void GpuBackward::add(TensorView sums, double factor, ConstTensorView more) const {
  add_on_device(launcher_, stream_, sums, factor, more);
}

TensorView GpuBackward::mean() const {
  return dense_view(mean_.data(), rows_, heads_, 1);
}

void GpuBackward::write_mean(TensorView to) const {
  device::copy(*stream_, to, mean());
}

void GpuBackward::finish(TensorView dq, TensorView dscale) {
  turn_sums_.fold(sums_.data());
  const DenseOutput dq_there(stream_, dq);
  const DenseOutput dscale_there(stream_, dscale);
  launcher_.finish(choice_,
                   {.q = q_.rows(),
                    .scale = scale_.data(),
                    .query_sums = sums_.data(),
                    .rows = rows_,
                    .heads = heads_,
                    .dq = dq_there.data(),
                    .dscale = dscale_there.data()},
                   *stream_);
  dq_there.finish();
  dscale_there.finish();
}

}  // namespace annulus::kernels::gpu
