#include "kernels/cuda/turn_sums.hpp"

#include <iterator>

#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {

float* TurnSums::of(const GradientTiles& tiles, double* query_sums) {
  const bool goes_on =
      tiles_ != nullptr && tiles_->steps == tiles.steps && turns_ + tiles.most_turns <= most_turns_;
  if (!goes_on) {
    fold(query_sums);
    sums_ = {stream_,
             std::ssize(tiles.steps) * heads_ * all_gradients_step_rows(choice_) * choice_.dim};
    stream_->clear(sums_.data(), sums_.bytes());
    tiles_ = &tiles;
  }
  turns_ += tiles.most_turns;
  return sums_.data();
}

void TurnSums::fold(double* query_sums) {
  if (tiles_ == nullptr) return;
  launcher_.fold(choice_,
                 {.steps = tiles_->steps_there.data(),
                  .count = narrow<int>(std::ssize(tiles_->steps)),
                  .heads = heads_,
                  .query_dim = dim_,
                  .sums = sums_.data(),
                  .query_sums = query_sums},
                 *stream_);
  tiles_ = nullptr;
  turns_ = 0;
  sums_ = {};
}

}  // namespace annulus::kernels::gpu
