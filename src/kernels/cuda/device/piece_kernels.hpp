#pragma once
// What becomes of the pieces that a library computes: outputs that are merged, gradients that are
// added, in fp32 and fp64; and what it is given in a form that it takes.

#include "kernels/cuda/device/state_kernels.hpp"

namespace annulus::kernels::gpu {

/// A row as it is once a piece, of element type T, has been merged into what it has seen before. A
/// piece has been divided by its sum, so it is the state m = lse, l = 1, O = out.
template <class T>
class RowWithPiece : MergingKernel {
 public:
  /// Arguments: as those of the kernels below. `row` is one of the pass, `before` what belongs to
  /// it.
  template <class Arguments>
  ANNULUS_DEVICE RowWithPiece(const Arguments& a, Index row, const Scale& before) {
    const Index in_piece = row - a.piece.first;
    const bool seen = in_piece >= 0 && in_piece < a.piece.rows;
    const float lse = seen ? a.piece.lse[static_cast<Index>(block_y()) * a.piece.rows + in_piece]
                           : minus_infinity;
    const float larger = fmaxf(before.maximum, lse);
    kept_ = static_cast<double>(MaximumRise::of(before.maximum, larger).factor);
    added_ = static_cast<double>(MaximumRise::of(lse, larger).factor);
    scale_ = {larger, before.sum * kept_ + added_};
    if (a.before.values != nullptr) {
      before_ = a.before.values + (row * a.heads + block_y()) * a.value_dim;
    }
    if (seen) {
      piece_ = static_cast<const T*>(a.piece.out) + (in_piece * a.heads + block_y()) * a.value_dim;
    }
  }

  [[nodiscard]] ANNULUS_DEVICE const Scale& scale() const { return scale_; }
  /// O.
  [[nodiscard]] ANNULUS_DEVICE double value(int c) const {
    const double before = before_ == nullptr ? 0.0 : before_[c] * kept_;
    return piece_ == nullptr ? before : before + widened(piece_[c]) * added_;
  }

 private:
  double kept_;
  double added_;
  Scale scale_{};
  const double* before_ = nullptr;
  const T* piece_ = nullptr;
};

template <class T>
struct MergePieceKernel : MergingKernel {
  using Arguments = MergePieceArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index visited) {
      const Index at = a.first * a.heads + visited;
      const Index row = at / a.heads;
      auto before = beginning(a.sink);
      if (a.before.maximum != nullptr) {
        // The first lane alone reads what it writes below.
        const bool reads = lane_index() == 0;
        before.maximum = shuffle(reads ? a.before.maximum[at] : 0.0F, 0);
        before.sum = reads ? a.before.sum[at] : 0.0;
      }
      const RowWithPiece<T> merged(a, row, before);
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        a.after.values[at * a.value_dim + c] = merged.value(c);
      }
      if (lane_index() != 0) return;
      a.after.maximum[at] = merged.scale().maximum;
      a.after.sum[at] = merged.scale().sum;
    });
  }
};

template <class T>
struct FinishPieceKernel : FinishingKernel {
  using Arguments = FinishPieceArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      auto before = beginning(a.sink);
      if (a.before.maximum != nullptr) {
        before = {.maximum = a.before.maximum[at], .sum = a.before.sum[at]};
      }
      const RowWithPiece<T> merged(a, at / a.heads, before);
      write(a, at, merged.scale(), [&](int c) { return merged.value(c); });
    });
  }
};

template <class T>
struct AddPieceKernel : NumberKernel {
  using Arguments = AddPieceArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_numbers(a.count, [&](Index at) {
      const Index in_piece = at - a.first;
      float sum = a.before == nullptr ? 0.0F : a.before[at];
      if (in_piece >= 0 && in_piece < a.piece_count) {
        sum += static_cast<float>(static_cast<const T*>(a.piece)[in_piece]);
      }
      a.after[at] = sum;
    });
  }
};

/// Elements are divided by the largest of their row, so that squares neither vanish nor overflow.
template <class T>
struct AlongKernel : RowKernel {
  using Arguments = AlongArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const auto* dout = static_cast<const T*>(a.dout.data) + at / a.heads * a.dout.row_stride +
                         block_y() * a.dout.head_stride;
      float largest = 0;
      for (int c = lane_index(); c < a.dout.dim; c += warp_lanes) {
        largest = fmaxf(largest, fabsf(static_cast<float>(dout[c])));
      }
      for (int mask = 1; mask < warp_lanes; mask *= 2) {
        largest = fmaxf(largest, shuffle_xor(largest, mask));
      }
      const auto share = [&](int c) {
        return largest == 0 ? 0.0F : static_cast<float>(dout[c]) / largest;
      };
      float square = 0;
      for (int c = lane_index(); c < a.dout.dim; c += warp_lanes) square += share(c) * share(c);
      square = sum_of_warp(square);
      const float length = largest == 0 ? 0.0F : a.mean[at] / largest / square;
      auto* along = static_cast<std::uint32_t*>(a.along) + at * a.dout.dim / 2;
      for (int c = 2 * lane_index(); c < a.dout.dim; c += 2 * warp_lanes) {
        along[c / 2] = pack<T>(length * share(c), length * share(c + 1));
      }
    });
  }
};

struct TransposeKernel : NumberKernel {
  using Arguments = TransposeArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_numbers(a.rows * a.heads,
                 [&](Index at) { a.to[at] = a.from[at % a.rows * a.heads + at / a.rows]; });
  }
};

}  // namespace annulus::kernels::gpu
