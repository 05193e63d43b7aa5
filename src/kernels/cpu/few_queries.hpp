#pragma once
// Few queries over many keys, as in decode.

#include <functional>
#include <vector>

#include "annulus/attention/partial_state.hpp"
#include "annulus/kernels/kernel.hpp"
#include "kernels/cpu/pass_memory.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {

/// A block with at most so many queries is few queries.
inline constexpr Index few_queries = 8;

/// Threads share chunks of keys rather than queries, and read them as they are where rows are so
/// few that packing does not pay. The rows of a tile are all queries of all heads that read one key
/// head, so that nothing is read twice; and the states of the chunks merge in the order of the
/// keys, whatever the number of threads.
template <class T>
class CpuFewQueries {
 public:
  /// What becomes of a state: query row `row` of `head` merges with it.
  using Merge = std::function<void(Index head, Index row, const PartialState<double>& state)>;

  CpuFewQueries(const Queries& queries, const PassOptions& options,
                std::shared_ptr<device::BufferPool> pool);

  /// Calls `merge` with the states of the visible keys of `block`, chunk by chunk; several threads
  /// may call it at the same time, for different rows.
  void accumulate(ConstTensorView k, ConstTensorView v, const Block& block, const Poll& poll,
                  const Merge& merge);

 private:
  /// Keys of a chunk: whole tiles. So many where they are packed, as memory is kept for them.
  static constexpr Index packed_chunk_keys = 4 * key_tile<T>;
  /// Chunks whose states are held at the same time.
  static constexpr Index chunks_at_a_time = 64;

  struct Workspace {
    TileScratch<T> scratch;
    T* keys;    ///< a packed chunk
    T* values;  ///< likewise
    T* q;       ///< (query_tile, d)
    double* scale;
    Interval* visible;
    Index* self_key;
    T* staging;  ///< a tile of keys or values in T, see tile_rows
  };

  /// Keys of a chunk where `keys` are seen by tiles of `rows` rows.
  [[nodiscard]] Index chunk_of(Index keys, Index rows) const;
  /// Rows of a tile: row r is query r / group of head key_head * group + r % group.
  struct Rows {
    Index key_head;
    Interval rows;
  };

  [[nodiscard]] Workspace place_workspace(ArrayPlaces& places) const;
  /// Whether a tile of `rows` rows meets keys as they are rather than packed.
  [[nodiscard]] bool as_rows(Index rows) const;
  /// Accumulates the keys `keys`; the thread may read those after them, up to `rows_end`, next.
  void accumulate_chunk(ConstTensorView k, ConstTensorView v, const Block& block, const Rows& rows,
                        Interval keys, Index rows_end, const Workspace& workspace,
                        const TileState& states) const;
  /// Packs the keys [begin, end) of a chunk, and their values.
  void pack(ConstTensorView k, ConstTensorView v, Index key_head, Index chunk_row, Interval keys,
            Index chunk_size, const Workspace& workspace) const;

  [[nodiscard]] Index group() const { return queries_.q.heads / options_.key_heads; }
  Queries queries_;
  PassOptions options_;
  const TileFunctions<T>& functions_;
  std::shared_ptr<device::BufferPool> pool_;
  std::vector<Workspace> workspaces_;  // one for each thread
  PassMemory memory_;
};

}  // namespace annulus::kernels
