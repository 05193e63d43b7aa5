#pragma once
// Gradients of the queries of a pass, added up piece by piece.

#include <optional>

#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// As PieceStates: the latest piece stays as the library wrote it, those before it are in fp32
/// sums.
class PieceSums {
 public:
  /// Numbers first, first + 1, ... of the sums, `count` of them.
  struct Piece {
    device::Buffer numbers;
    Index first = 0;
    Index count = 0;
  };

  /// `count` sums of pieces of numbers of this type. Borrows `launcher`.
  PieceSums(const Launcher& launcher, const StreamPointer& stream, DataType type, Index count)
      : launcher_(launcher), stream_(stream), type_(type), count_(count) {}

  void add(Piece piece);
  /// Writes the sums of all pieces, zeros where there is none.
  void finish(float* sums) const;

 private:
  const Launcher& launcher_;
  StreamPointer stream_;
  DataType type_;
  Index count_;
  std::optional<Piece> latest_;
  DeviceArray<float> sums_;  // of the pieces before; empty where there is none
};

/// Enqueues to add a piece of `count` numbers to as many sums.
void add_piece(const Launcher& launcher, Stream& stream, DataType type, float* sums,
               const void* piece, Index count);

}  // namespace annulus::kernels::gpu
