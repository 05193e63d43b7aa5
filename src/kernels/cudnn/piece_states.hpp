#pragma once
// What rows of a pass have seen, piece by piece.

#include <optional>
#include <span>

#include "kernels/cuda/device_states.hpp"

namespace annulus::kernels::gpu {

/// The latest piece stays as the library wrote it until the next one comes or outputs are asked
/// for; only those before it are in states. So a single piece needs none, and of several the first
/// and the last pass through memory once less than the others.
class PieceStates {
 public:
  /// The output of a piece, see PieceOutput.
  struct Piece {
    device::Buffer out;
    DeviceArray<float> lse;
    Index first = 0;
    int rows = 0;

    [[nodiscard]] PieceOutput view() const { return {out.data(), lse.data(), first, rows}; }
  };

  /// `type`: of the outputs of pieces. Borrows `launcher`.
  PieceStates(const Launcher& launcher, const StreamPointer& stream, DataType type,
              const StateShape& shape, std::span<const double> sink)
      : launcher_(launcher),
        stream_(stream),
        type_(type),
        shape_(shape),
        sink_(upload_narrowed(stream, sink)) {}

  [[nodiscard]] const StateShape& shape() const { return shape_; }

  void merge(Piece piece);
  /// Writes what follows from all pieces; without statistics.
  void finish(const ForwardOutputs& outputs) const;

 private:
  [[nodiscard]] DeviceState view() const { return states_ ? states_->view() : DeviceState{}; }

  const Launcher& launcher_;
  StreamPointer stream_;
  DataType type_;
  StateShape shape_;
  DeviceArray<float> sink_;
  std::optional<Piece> latest_;
  std::optional<DeviceStates> states_;  // of the pieces before
};

}  // namespace annulus::kernels::gpu
