#include "kernels/cudnn/piece_states.hpp"

#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::kernels::gpu {

void PieceStates::merge(Piece piece) {
  if (latest_) {
    const auto before = view();
    const bool are_there = states_.has_value();
    if (!are_there) states_.emplace(launcher_, stream_, shape_);
    // The first time all rows get a state, later those of the piece change.
    launcher_.merge(type_,
                    {.before = before,
                     .sink = sink_.data(),
                     .piece = latest_->view(),
                     .after = view(),
                     .first = are_there ? latest_->first : 0,
                     .rows = are_there ? latest_->rows : shape_.rows,
                     .heads = shape_.heads,
                     .value_dim = shape_.value_dim},
                    *stream_);
  }
  latest_ = std::move(piece);
}

void PieceStates::finish(const ForwardOutputs& outputs) const {
  ensure(!outputs.statistics.present(), "pieces have no statistics");
  const DenseOutput out(stream_, outputs.out);
  const DenseOutput lse(stream_, outputs.lse);
  const DenseOutput lse_low(stream_, outputs.lse_low);
  launcher_.finish(type_,
                   {.before = view(),
                    .sink = sink_.data(),
                    .piece = latest_ ? latest_->view() : PieceOutput{},
                    .rows = shape_.rows,
                    .heads = shape_.heads,
                    .value_dim = shape_.value_dim,
                    .out = out.data(),
                    .lse = lse.data(),
                    .lse_low = lse_low.data()},
                   *stream_);
  for (const auto* output : {&out, &lse, &lse_low}) output->finish();
}

}  // namespace annulus::kernels::gpu
