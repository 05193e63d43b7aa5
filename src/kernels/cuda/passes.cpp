#include "kernels/cuda/passes.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "kernels/cuda/tile_parts.hpp"

namespace annulus::kernels::gpu {
namespace {

/// The stream of a pass, which is a GPU's.
const StreamPointer& stream_of(const PassOptions& options) {
  ensure(options.stream->device().kind == DeviceKind::cuda,
         "the cuda backend computes on a stream of a GPU");
  return options.stream;
}

KernelChoice choice_for(ConstTensorView q, const PassOptions& options) {
  ensure(options.key_heads >= 1 && q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  auto choice = choose_kernel(q.type, q.dim, options.value_dim);
  choice.statistics = options.statistics;
  return choice;
}

}  // namespace

GpuForward::GpuForward(const Launcher& launcher, const Queries& queries, const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_of(options)),
      choice_(choice_for(queries.q, options)),
      q_(stream_, queries.q),
      scale_(upload_narrowed(stream_, queries.scale)),
      key_heads_(narrow<int>(options.key_heads)),
      states_(launcher, stream_, StateShape::of(queries, options), queries.sink) {}

void GpuForward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                            const Poll& poll) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == states_.shape().value_dim && k.rows == v.rows,
         "keys and values have the shapes of the pass");
  const auto tiling = tiling_for(blocks);
  const auto tiles = query_tiles(blocks, forward_tile_rows(tiling.choice) / tiling.shared);
  if (!tiles.work.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    ForwardArguments arguments{.q = q_.rows(),
                               .k = keys.rows(),
                               .v = values.rows(),
                               .scale = scale_.data(),
                               .heads = states_.shape().heads,
                               .group = states_.shape().heads / key_heads_,
                               .shared = tiling.shared};
    enqueue(tiling.choice, arguments, tiles);
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
  auto few = choice_;
  few.few_rows = true;
  if (fits(few)) return {few, group};
  return {choice_, fits(choice_) ? group : 1};
}

void GpuForward::enqueue(const KernelChoice& choice, ForwardArguments& arguments,
                         const TileList& tiles) {
  const int step_rows = forward_step_rows(choice);
  const int parts = parts_to_fill(tiles, arguments.heads / arguments.shared,
                                  launcher_.blocks_at_once(*stream_), step_rows);
  const auto run = [&](const TileList& list, const DeviceStates& states) {
    const DeviceTiles on_device(stream_, list);
    arguments.state = states.view();
    arguments.tiles = on_device.view();
    launcher_.forward(choice, arguments, *stream_);
  };
  if (parts == 1) {
    run(tiles, states_);
    return;
  }
  const auto parted = part_tiles(tiles, parts, step_rows);
  auto shape = states_.shape();
  shape.rows = parted.state_rows;
  const DeviceStates of_parts(launcher_, stream_, shape, {});
  run(parted.list, of_parts);
  states_.merge(of_parts, parted.tiles);
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

GpuBackward::GpuBackward(const Launcher& launcher, const BackwardQueries& queries,
                         const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_of(options)),
      choice_(choice_for(queries.q, options)),
      q_(stream_, queries.q),
      dout_(stream_, queries.dout),
      lse_(stream_, queries.lse),
      no_lse_low_(queries.lse_low.present()
                      ? device::DeviceTensor()
                      : device::DeviceTensor(stream_, DataType::float32, queries.q.rows,
                                             queries.q.heads, 1)),
      lse_low_(stream_,
               queries.lse_low.present() ? queries.lse_low : ConstTensorView(no_lse_low_.view())),
      scale_(upload_narrowed(stream_, queries.scale)),
      rows_(narrow<int>(queries.q.rows)),
      heads_(narrow<int>(queries.q.heads)),
      key_heads_(narrow<int>(options.key_heads)),
      mean_(stream_, queries.q.rows * queries.q.heads),
      sums_(stream_, queries.q.rows * queries.q.heads * queries.q.dim) {
  const auto& q = queries.q;
  ensure(std::ssize(queries.scale) == q.rows * q.heads, "one scale per query row and head");
  ensure(queries.dout.has_shape(q.rows, q.heads, options.value_dim) &&
             queries.lse.has_shape(q.rows, q.heads, 1) &&
             (!queries.lse_low.present() || queries.lse_low.has_shape(q.rows, q.heads, 1)),
         "the gradient of the output and lse have the shapes of the pass");
  if (sums_.bytes() > 0) stream_->clear(sums_.data(), sums_.bytes());
  ensure(queries.out.present() != queries.mean.present(),
         "a backward pass is given the output or its means");
  if (queries.mean.present()) {
    device::copy(*stream_, mean(), queries.mean);
    return;
  }
  ensure(queries.out.has_shape(q.rows, q.heads, options.value_dim),
         "the output has the shape of the pass");
  const DenseInput out(stream_, queries.out);
  launcher_.mean(choice_,
                 {.dout = dout_.rows(),
                  .out = out.data(),
                  .rows = rows_,
                  .heads = heads_,
                  .mean = mean_.data()},
                 *stream_);
}

void GpuBackward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                             TensorView dk, TensorView dv, const Poll& poll) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == dout_.rows().dim && k.rows == v.rows &&
             dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
         "keys, values and their gradients have the shapes of the pass");
  const auto query_list = query_tiles(blocks, query_gradient_tile_rows(choice_));
  if (!query_list.work.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    const DeviceTiles queries_own(stream_, query_list);
    const DeviceTiles keys_own(stream_, key_tiles(blocks, key_gradient_tile_rows(choice_)));
    const LongSums key_sums(stream_, dk);
    const LongSums value_sums(stream_, dv);
    GradientArguments arguments{.q = q_.rows(),
                                .k = keys.rows(),
                                .v = values.rows(),
                                .dout = dout_.rows(),
                                .scale = scale_.data(),
                                .lse = lse_.data(),
                                .lse_low = lse_low_.data(),
                                .mean = mean_.data(),
                                .heads = heads_,
                                .group = heads_ / key_heads_,
                                .query_sums = sums_.data(),
                                .dk = key_sums.view(),
                                .dv = value_sums.view(),
                                .tiles = queries_own.view()};
    launcher_.add_query_gradients(choice_, arguments, *stream_);
    arguments.tiles = keys_own.view();
    launcher_.add_key_gradients(choice_, arguments, *stream_);
  }
  if (poll) poll();
}

void GpuBackward::add(TensorView sums, ConstTensorView more) const {
  ensure(sums.has_shape(more.rows, more.heads, more.dim), "sums of one shape are added");
  const DenseOutput there(stream_, sums);
  if (!is_dense(sums)) {
    device::copy(*stream_, dense_view(there.data(), sums.rows, sums.heads, sums.dim), sums);
  }
  launcher_.add({.sums = there.data(),
                 .more = DenseInput(stream_, more).data(),
                 .count = sums.rows * sums.heads * sums.dim},
                *stream_);
  there.finish();
}

TensorView GpuBackward::mean() const {
  return dense_view(mean_.data(), rows_, heads_, 1);
}

void GpuBackward::write_mean(TensorView to) const {
  device::copy(*stream_, to, mean());
}

void GpuBackward::finish(TensorView dq, std::span<double> dscale) {
  const DenseOutput output(stream_, dq);
  const DeviceArray<float> dscale_there(stream_, static_cast<Index>(rows_) * heads_);
  launcher_.finish(choice_,
                   {.q = q_.rows(),
                    .scale = scale_.data(),
                    .query_sums = sums_.data(),
                    .rows = rows_,
                    .heads = heads_,
                    .dq = output.data(),
                    .dscale = dscale_there.data()},
                   *stream_);
  output.finish();
  download_widened(*stream_, dscale, dscale_there.data());
}

}  // namespace annulus::kernels::gpu
