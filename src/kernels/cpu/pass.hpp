#pragma once
// The forward pass of the cpu backend: which tiles meet, on which thread.

#include <memory>
#include <optional>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cpu/few_queries.hpp"
#include "kernels/cpu/joined_block.hpp"
#include "kernels/cpu/key_panels.hpp"
#include "kernels/cpu/pass_memory.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {

/// Keys and values are packed a panel of keys at a time, for all key heads; then every tile of
/// queries meets the panel; or, where a block has few queries and no backward pass makes its logits
/// again, as CpuFewQueries does it. Sums are fp32 over a panel and fp64 over panels, where E is
/// less than fp64. The order in which a row meets its keys does not depend on the threads. Products
/// are those of elements of type E: fp64, fp32, or bf16 where the CPU multiplies it.
template <class E>
class CpuForward final : public ForwardPass {
 public:
  CpuForward(const Queries& queries, const PassOptions& options, const TileFunctions<E>& functions);

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const Poll& poll) override;
  void finish(const ForwardOutputs& outputs) override;
  void accumulate_last(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                       const Poll& poll, const ForwardOutputs& outputs) override;
  void write_state(TensorView state) const override;
  void merge(ConstTensorView state, Index first_head) override;

 private:
  using T = Accumulator<E>;

  /// What one worker computes in.
  struct Workspace {
    TileScratch<E> scratch;
    double* scale;
    Interval* visible;
    Index* self_key;
    E* staging;       ///< rows of q, k or v in E, see tile_rows
    TileState state;  ///< of a tile that no other step meets
  };

  /// A panel of a head, packed.
  struct PackedPanel {
    Operand<E>* keys;
    Operand<E>* values;
  };

  /// A tile of queries meets a packed panel.
  struct Step {
    const KeyPanel* panel;
    const PanelPart* part;
    Interval queries;
    bool first;  ///< of the panel, which is to be packed
  };

  /// What is written as soon as rows have met all their keys.
  struct Finish {
    const ForwardOutputs* outputs;
    std::vector<Interval> steps;  ///< of each row, from the first that it is in to the last
  };

  [[nodiscard]] TileState place_state(ArrayPlaces& places, Index rows) const;
  [[nodiscard]] Workspace place_workspace(ArrayPlaces& places) const;

  /// accumulate(), and where `outputs` is not null accumulate_last().
  void accumulate_blocks(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                         const Poll& poll, const ForwardOutputs* outputs);

  /// Merges a state into that of a row.
  void merge_into(Index head, Index row, const PartialState<double>& state);

  /// Accumulates blocks of more than a few queries.
  void accumulate_joined(ConstTensorView k, ConstTensorView v,
                         const std::vector<JoinedBlock>& blocks, const Poll& poll,
                         const ForwardOutputs* outputs);
  /// Packs the tile that starts `tile` rows into the panel `keys` of k and v.
  void pack_tile(ConstTensorView k, ConstTensorView v, Index head, Interval keys, Index tile,
                 const PackedPanel& packed, E* staging) const;
  [[nodiscard]] Finish finish_of(const ForwardOutputs& outputs,
                                 const std::vector<Step>& steps) const;
  /// Step number `at` for a head, with its packed panel; and where it is the last of a row what
  /// follows from its state.
  void accumulate_tile(const Step& step, Index at, const PackedPanel& packed, Index head,
                       int worker, const std::optional<Finish>& last);

  /// The state of the first row of `of`; values of zero where it has seen nothing.
  [[nodiscard]] PartialState<double> row_state(const TileState& of) const;
  void check_outputs(const ForwardOutputs& outputs) const;
  /// Writes what follows from the state `of` of a row of a head.
  void finish_row(const ForwardOutputs& outputs, Index row, Index head, const TileState& of) const;

  /// The state from a row of a head on.
  [[nodiscard]] TileState state_of(Index head, Index row) const {
    return state_.from(head * queries_.q.rows + row, options_.value_dim);
  }

  Queries queries_;
  PassOptions options_;
  const TileFunctions<E>& functions_;
  std::shared_ptr<device::BufferPool> pool_;
  TileState state_{};  // of all heads, (H, rows)
  bool untouched_;     // whether it is that of nothing
  PassMemory state_memory_;
  CpuFewQueries<T> few_queries_;
  std::vector<Workspace> workspaces_;  // one for each thread
  std::vector<PackedPanel> packed_;    // of what the threads have at hand
  Index panel_keys_ = 0;               // of a panel
  PassMemory tile_memory_;             // of the workspaces and of what is packed
};

}  // namespace annulus::kernels
