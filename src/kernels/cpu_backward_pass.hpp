#pragma once
// The backward pass of the cpu backend: which tiles meet, on which thread.

#include <hwy/aligned_allocator.h>

#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cpu_gradient_tile.hpp"
#include "kernels/tile_rows.hpp"

namespace annulus::kernels {

/// Every block is swept twice, see GradientTile: once for dq, with the keys packed a panel at a
/// time, and once for dk and dv, with the queries packed a panel at a time.
template <class T>
class CpuBackward final : public BackwardPass {
 public:
  CpuBackward(const BackwardQueries& queries, const PassOptions& options);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const Poll& poll) override;
  void finish(TensorView dq, std::span<double> dscale) override;

 private:
  using Buffer = hwy::AlignedFreeUniquePtr<T[]>;

  struct Workspace {
    Buffer memory;
    GradientScratch<T> scratch;
    std::vector<Interval> visible;
    std::vector<T> staging;  ///< rows of d elements in T, see tile_rows
    std::vector<T> value_staging;
  };

  /// Columns that are packed together, for `heads` heads.
  struct Panel {
    Index heads = 0;
    Index capacity = 0;      ///< columns
    Buffer columns{};        ///< (heads, capacity * d)
    Buffer value_columns{};  ///< (heads, capacity * d_v)
    Buffer factors{};        ///< (heads, capacity * padded d)
    Buffer value_factors{};  ///< (heads, capacity * padded d_v), for panels of queries
    Buffer lse{};            ///< (heads, capacity), likewise
    Buffer mean{};
  };

  static constexpr Index panel_tiles = 8;
  static constexpr Index panel_columns = panel_tiles * key_tile<T>;

  [[nodiscard]] Workspace make_workspace() const;
  [[nodiscard]] Panel make_panel(Index heads, bool of_queries) const;
  void pack(Panel& panel, Index head, Index tile, Index count, TileRows<T> columns,
            TileRows<T> values) const;

  void sweep_queries(ConstTensorView k, ConstTensorView v, const Block& block, const Poll& poll);
  void sweep_keys(ConstTensorView k, ConstTensorView v, const Block& block, TensorView dk,
                  TensorView dv, const Poll& poll);
  /// Which columns `rows` rows of `block` see of the panel that starts at column `first`.
  static void see(Workspace& workspace, const Block& block, Index first_row, Index rows,
                  Index first);
  [[nodiscard]] static Interval seen_columns(const Workspace& workspace, Index rows, Index columns);

  [[nodiscard]] std::size_t at(Index head, Index row) const {
    return static_cast<std::size_t>(head * queries_.q.rows + row);
  }
  [[nodiscard]] T* scaled(Index head, Index row) const {
    return scaled_.get() + static_cast<Index>(at(head, row)) * queries_.q.dim;
  }

  BackwardQueries queries_;
  PassOptions options_;
  const TileFunctions<T>& functions_;
  Buffer scaled_;                      // (H, rows, d): scale q
  std::vector<T> lse_;                 // (H, rows); 0 where a row saw nothing
  std::vector<T> mean_;                // (H, rows)
  std::vector<T> sums_;                // (H, rows, d): Sum_j dz k_j
  std::vector<Workspace> workspaces_;  // one for each thread
  Panel keys_;
  Panel queries_panel_;
};

}  // namespace annulus::kernels
