#include "kernels/cudnn/forward.hpp"

#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cudnn/limits.hpp"
#include "kernels/cudnn/pieces.hpp"

namespace annulus::kernels::gpu {

CudnnForward::CudnnForward(const Launcher& launcher, const PairLibrary& library,
                           const Queries& queries, const PassOptions& options)
    : stream_(stream_for(queries.q, options)),
      type_(queries.q.type),
      scale_(scale_of(queries)),
      pairs_(library.open(stream_)),
      q_(stream_, queries.q),
      key_heads_(narrow<int>(options.key_heads)),
      states_(launcher, stream_, type_, StateShape::of(queries, options), queries.sink) {}

void CudnnForward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                              const Poll& poll) {
  const auto& shape = states_.shape();
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == shape.value_dim && k.rows == v.rows && k.type == type_ && v.type == type_,
         "keys and values have the shapes of the pass");
  const auto pieces = pieces_of(blocks);
  if (!pieces.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    for (const auto& piece : pieces) {
      PieceStates::Piece made{
          .out = {stream_, static_cast<std::size_t>(piece.queries * shape.heads * shape.value_dim) *
                               size_of(type_)},
          .lse = {stream_, piece.queries * shape.heads},
          .first = piece.query,
          .rows = narrow<int>(piece.queries)};
      pairs_->forward({.type = type_,
                       .mask = piece.mask,
                       .queries = piece.queries,
                       .keys = piece.keys,
                       .heads = shape.heads,
                       .key_heads = key_heads_,
                       .scale = scale_,
                       .q = rows_from(q_.rows(), piece.query, type_),
                       .k = rows_from(keys.rows(), piece.key, type_),
                       .v = rows_from(values.rows(), piece.key, type_)},
                      {.out = made.out.data(), .lse = made.lse.data()});
      states_.merge(std::move(made));
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
