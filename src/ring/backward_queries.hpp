#pragma once
// The gradients of the queries that a rank computes with in a backward pass.

#include <memory>
#include <vector>

#include "annulus/device/device_tensor.hpp"
#include "annulus/kernels/kernel.hpp"
#include "ring/query_store.hpp"

namespace annulus::ring {

/// What a backward pass is given of the rows of the rank, on the device. Borrowed.
struct OwnRows {
  ConstTensorView dout;     ///< (rows, H, d_v)
  ConstTensorView out;      ///< (rows, H, d_v)
  ConstTensorView lse;      ///< (rows, H, 1)
  ConstTensorView lse_low;  ///< (rows, H, 1), or absent: 0
  ConstTensorView dlse;     ///< (rows, H, 1), or absent: 0
};

class BackwardQueries final : public QueryStore {
 public:
  /// Borrows all of these. Gradients are written to `dq` (rows, H, d), on the device;
  /// `gains_too`: add_gain_gradients() follows. As d lse / d z = p, a gradient of lse makes
  /// dz = p (<dout, v> - mean) with mean = <dout, out> - dlse.
  BackwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel, BufferPool& pool,
                  const OwnQueries& own, const OwnRows& rows, TensorView dq, bool gains_too,
                  kernels::PassOptions options);

  /// The pass over `queries`, which a program computes with.
  [[nodiscard]] kernels::BackwardPass& pass_of(const ItemList& queries);
  /// The pass over all own queries.
  [[nodiscard]] const kernels::BackwardPass& home() const { return *home_.pass; }
  /// The gradients of the own queries are in `dq` when the stream has come so far; all others have
  /// arrived.
  void finish();
  /// Adds to `dgain` (H) what this rank's computes give to the gradients of the gains. After
  /// finish(); waits for the device.
  void add_gain_gradients(std::span<double> dgain) const;

 private:
  struct Part {
    ItemList queries;
    std::vector<JoinedRows> inputs{};
    JoinedRows row_numbers{};
    std::vector<double> head_factors{};
    std::unique_ptr<kernels::BackwardPass> pass{};
    device::DeviceTensor dq{};
  };
  /// What a part gives to the gradients of the gains, on the device until the end: what is let go
  /// of is no reason to wait for it.
  struct GainTerms {
    Interval heads;
    device::DeviceTensor row_numbers;  ///< as LogitScales has them
    device::DeviceTensor dscale;       ///< (rows, heads, 1)
  };

  void take_in(const Item& item, std::span<const std::byte> packed) override;
  void pack(const Item& item, std::span<std::byte> packed) override;
  void let_go(const Item& item) override;
  [[nodiscard]] Part begin(const ItemList& queries) const;
  /// What a pass is given of one item, but for its scales.
  [[nodiscard]] kernels::BackwardQueries given_of(const Item& queries) const;
  [[nodiscard]] Part& part_of(const ItemList& queries);
  /// Writes the gradients of a part, and keeps what it gives to those of the gains.
  void write(Part& part, TensorView dq);

  const kernels::Kernel& kernel_;
  OwnRows rows_;
  TensorView dq_;
  bool gains_too_;
  kernels::PassOptions options_;
  /// <dout, out> - dlse of the own rows, where they travel or lse has a gradient.
  device::DeviceTensor means_;
  Part home_;                // all own queries
  std::vector<Part> parts_;  // of others, or of some heads of the own
  std::vector<GainTerms> gain_terms_;
};

}  // namespace annulus::ring
