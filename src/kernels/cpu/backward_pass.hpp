#pragma once
// The backward pass of the cpu backend: which panels meet, on which thread.

#include <algorithm>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cpu/joined_block.hpp"
#include "kernels/cpu/pass_memory.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {

/// Both sides of a block are cut into panels. All three gradients come out of one visit to a pair
/// of panels, so pairs that share queries or keys must not run at the same time: they run in
/// rounds, and in round t the panel of keys i meets the panel of queries (i + t) mod C. Sums are of
/// E's accumulator over a panel, and in more digits over panels. Every sum has one order, whatever
/// the number of threads. Products are those of elements of type E: fp64,
/// fp32, or bf16 where the CPU multiplies it.
/// A panel of queries and one of keys, rows of q and of k and v.
struct PanelPair {
  Interval queries;
  Interval keys;
  Index round;  ///< pairs of a round share neither queries nor keys
};

template <class E>
class CpuBackward final : public BackwardPass {
 public:
  CpuBackward(const BackwardQueries& queries, const PassOptions& options,
              const TileFunctions<E>& functions);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const Poll& poll) override;
  void add(TensorView sums, double factor, ConstTensorView more) const override;
  void write_mean(TensorView mean) const override;
  void finish(TensorView dq, TensorView dscale) override;

 private:
  using T = Accumulator<E>;

  /// What one worker computes in.
  struct Workspace {
    GradientScratch<E> scratch;
    GradientQueries<E> queries;
    GradientKeys<E> keys;
    Interval packed_queries;  ///< rows that sections are of
    Interval packed_keys;     ///< rows that keys are of
    double* scale;
    Interval* visible;
    E* staging;  ///< rows of a panel, d or d_v elements in E, see tile_rows
    E* value_staging;
  };

  /// How a block is cut.
  struct Cut {
    Index length;  ///< rows of a panel
    // What a thread that has a key head to itself packs at once.
    Index section;      ///< panels of queries, of all heads that read the keys; 0: one of one head
    bool keys_at_once;  ///< all keys, not those of a panel

    /// The rows of the section that the queries of a pair are in.
    [[nodiscard]] Interval section_of(const JoinedBlock& block, const PanelPair& pair) const {
      const Index rows = section * length;
      const Index begin = pair.queries.begin - (pair.queries.begin - block.queries.begin) % rows;
      return {begin, std::min(begin + rows, block.queries.end)};
    }
  };

  [[nodiscard]] Cut cut_of(const JoinedBlock& block) const;
  /// Heads that read the same keys.
  [[nodiscard]] Index group() const { return queries_.q.heads / options_.key_heads; }
  [[nodiscard]] Workspace place_workspace(ArrayPlaces& places) const;
  void place_sums(ArrayPlaces& places);
  /// Workspaces for panels of the longest of `blocks`.
  void make_room(std::span<const JoinedBlock> blocks);
  /// Packs rows of a head of k and v.
  void pack_keys(ConstTensorView k, ConstTensorView v, Interval rows, Index key_head,
                 Workspace& workspace) const;
  /// Packs rows of a head of q and dout, from packed row `at` on.
  void pack_queries(Interval rows, Index head, Index at, Workspace& workspace) const;
  /// Packs rows of all heads that read a key head.
  void pack_section(Interval rows, Index key_head, Workspace& workspace) const;
  /// Adds what the queries that read one key head and its packed rows give to each other's
  /// gradients. Queries are packed before, or here.
  void accumulate_pair(const JoinedBlock& block, const PanelPair& pair, Index key_head,
                       TensorView dk, TensorView dv, bool queries_are_packed, Workspace& workspace);

  [[nodiscard]] Index at(Index head, Index row) const { return head * queries_.q.rows + row; }

  BackwardQueries queries_;
  PassOptions options_;
  const TileFunctions<E>& functions_;
  std::shared_ptr<device::BufferPool> pool_;
  std::vector<double> means_;  // (rows, H)
  T* lse_ = nullptr;           // (H, rows); 0 where a row saw nothing
  T* lse_low_ = nullptr;       // (H, rows)
  T* mean_ = nullptr;          // (H, rows)
  double* sums_ = nullptr;     // (H, rows, d): Sum_j dz k_j
  PassMemory sum_memory_;
  T* dk_low_ = nullptr;                // (G, keys, d), of the keys at hand, see LongSums
  T* dv_low_ = nullptr;                // (G, keys, d_v), likewise
  Index panel_ = 0;                    // rows of a panel that the workspaces have room for,
  Index packed_queries_ = 0;           // rows of queries that are packed at once,
  Index packed_keys_ = 0;              // and of keys
  std::vector<Workspace> workspaces_;  // one for each thread
  PassMemory tile_memory_;
};

}  // namespace annulus::kernels
