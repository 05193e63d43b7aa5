#include "kernels/cudnn/piece_sums.hpp"

#include <utility>

namespace annulus::kernels::gpu {

void PieceSums::add(Piece piece) {
  if (latest_ && sums_.data() == nullptr) {
    DeviceArray<float> sums(stream_, count_);
    finish(sums.data());
    sums_ = std::move(sums);
  } else if (latest_) {
    add_piece(launcher_, *stream_, type_, sums_.data() + latest_->first, latest_->numbers.data(),
              latest_->count);
  }
  latest_ = std::move(piece);
}

void PieceSums::finish(float* sums) const {
  AddPieceArguments arguments{.before = sums_.data(), .after = sums, .count = count_};
  if (latest_) {
    arguments.piece = latest_->numbers.data();
    arguments.first = latest_->first;
    arguments.piece_count = latest_->count;
  }
  launcher_.add(type_, arguments, *stream_);
}

void add_piece(const Launcher& launcher, Stream& stream, DataType type, float* sums,
               const void* piece, Index count) {
  launcher.add(type,
               {.before = sums,
                .piece = piece,
                .first = 0,
                .piece_count = count,
                .after = sums,
                .count = count},
               stream);
}

}  // namespace annulus::kernels::gpu
