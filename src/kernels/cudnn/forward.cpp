#include "kernels/cudnn/forward.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cudnn/pieces.hpp"

namespace annulus::kernels::gpu {
namespace {

constexpr Index dim_step = 8;
constexpr Index largest_dim = 256;

/// The stream, once everything else that was asked for can be honoured.
const StreamPointer& stream_of(const Queries& queries, const PassOptions& options) {
  if (queries.q.type != DataType::bfloat16 && queries.q.type != DataType::float16) {
    throw InputError(fmt::format(
        "backend cudnn does not compute in precision {}; expected bf16, fp16, or --backend cuda",
        name_of(queries.q.type)));
  }
  if (options.statistics) {
    throw InputError(
        "backend cudnn does not keep what --statistics are made of; expected --backend cuda");
  }
  for (const Index dim : {queries.q.dim, options.value_dim}) {
    if (dim % dim_step == 0 && dim <= largest_dim) continue;
    throw InputError(
        fmt::format("head dimension {}: backend cudnn computes multiples of {} up to {}; expected "
                    "such, or --backend cuda",
                    dim, dim_step, largest_dim));
  }
  ensure(options.key_heads >= 1 && queries.q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  ensure(options.stream->device().kind == DeviceKind::cuda,
         "the cudnn backend computes on a stream of a GPU");
  return options.stream;
}

/// The one scale that cuDNN takes for all queries and heads. It may compare logits before they are
/// scaled, which only a positive scale allows.
float scale_of(const Queries& queries) {
  ensure(queries.scale.has_shape(queries.q.rows, queries.q.heads),
         "one scale per query row and head");
  if (queries.q.rows == 0) return 1;
  const auto of_all = queries.scale.one();
  if (!of_all) {
    throw InputError(
        "backend cudnn has one logit scale for all queries and heads; expected a --logit-scale "
        "that "
        "is the same for all and equal gains, or --backend cuda");
  }
  const auto one = static_cast<float>(*of_all);
  if (!(one > 0) || std::isinf(one)) {
    throw InputError(fmt::format(
        "backend cudnn takes logit scales above 0, not {}; expected --backend cuda", one));
  }
  return one;
}

const void* from_row(const InputRows& rows, Index row, DataType type) {
  return static_cast<const std::byte*>(rows.data) +
         static_cast<std::size_t>(row * rows.row_stride) * size_of(type);
}

InputRows rows_from(InputRows rows, Index row, DataType type) {
  rows.data = from_row(rows, row, type);
  return rows;
}

}  // namespace

CudnnForward::CudnnForward(const Launcher& launcher, const PairLibrary& library,
                           const Queries& queries, const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_of(queries, options)),
      type_(queries.q.type),
      scale_(scale_of(queries)),
      pairs_(library.open(stream_)),
      q_(stream_, queries.q),
      key_heads_(narrow<int>(options.key_heads)),
      states_(launcher, stream_, StateShape::of(queries, options), queries.sink) {}

void CudnnForward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                              const Poll& poll) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == states_.shape().value_dim && k.rows == v.rows && k.type == type_ &&
             v.type == type_,
         "keys and values have the shapes of the pass");
  std::vector<Piece> pieces;
  Index longest = 0;
  for (const auto& block : blocks) {
    for (const auto& piece : pieces_of(block)) {
      longest = std::max(longest, piece.queries);
      pieces.push_back(piece);
    }
  }
  if (!pieces.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    // The stream merges one piece before it comes to the next.
    const device::Buffer out(stream_, static_cast<std::size_t>(longest * states_.shape().heads *
                                                               states_.shape().value_dim) *
                                          size_of(type_));
    const DeviceArray<float> lse(stream_, longest * states_.shape().heads);
    for (const auto& piece : pieces) {
      pairs_->enqueue({.type = type_,
                       .mask = piece.mask,
                       .queries = piece.queries,
                       .keys = piece.keys,
                       .heads = states_.shape().heads,
                       .key_heads = key_heads_,
                       .scale = scale_,
                       .q = rows_from(q_.rows(), piece.query, type_),
                       .k = rows_from(keys.rows(), piece.key, type_),
                       .v = rows_from(values.rows(), piece.key, type_),
                       .out = out.data(),
                       .lse = lse.data()});
      launcher_.merge(type_,
                      {.state = states_.view(),
                       .out = out.data(),
                       .lse = lse.data(),
                       .first = piece.query,
                       .rows = narrow<int>(piece.queries),
                       .heads = states_.shape().heads,
                       .value_dim = states_.shape().value_dim},
                      *stream_);
    }
  }
  if (poll) poll();
}

void CudnnForward::finish(const ForwardOutputs& outputs) {
  states_.finish(outputs);
}

void CudnnForward::write_state(TensorView) const {
  broken_invariant("cuDNN has no states that are merged");
}

void CudnnForward::merge(ConstTensorView, Index) {
  broken_invariant("cuDNN has no states that are merged");
}

}  // namespace annulus::kernels::gpu
