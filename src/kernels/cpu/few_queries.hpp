#pragma once
// Few queries over many keys, as in decode.

#include <functional>
#include <vector>

#include "annulus/attention/partial_state.hpp"
#include "annulus/kernels/kernel.hpp"
#include "kernels/cpu/buffer.hpp"
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

  CpuFewQueries(const Queries& queries, const PassOptions& options);

  /// Calls `merge` with the states of the visible keys of `block`, chunk by chunk; several threads
  /// may call it at the same time, for different rows.
  void accumulate(ConstTensorView k, ConstTensorView v, const Block& block, const Poll& poll,
                  const Merge& merge);

 private:
  /// Keys of a chunk: whole tiles.
  static constexpr Index chunk_keys = 4 * key_tile<T>;
  /// Chunks whose states are held at the same time.
  static constexpr Index chunks_at_a_time = 64;

  struct Workspace {
    hwy::AlignedFreeUniquePtr<T[]> memory;
    TileScratch<T> scratch;
    T* keys;    ///< a packed chunk
    T* values;  ///< likewise
    std::vector<T> q;
    std::vector<double> scale;
    std::vector<Interval> visible;
    std::vector<Index> self_key;
    std::vector<T> key_staging;  ///< a chunk in T, see tile_rows
    std::vector<T> value_staging;
  };

  /// Rows of a tile: row r is query r / group of head key_head * group + r % group.
  struct Rows {
    Index key_head;
    Interval rows;
  };

  [[nodiscard]] Workspace make_workspace() const;
  /// Whether a tile of `rows` rows meets keys as they are rather than packed.
  [[nodiscard]] bool as_rows(Index rows) const;
  void accumulate_chunk(ConstTensorView k, ConstTensorView v, const Block& block, const Rows& rows,
                        Interval keys, Workspace& workspace, double* states) const;

  [[nodiscard]] Index group() const { return queries_.q.heads / options_.key_heads; }
  /// Numbers of the states of a tile: five for each row, and then the values.
  [[nodiscard]] Index tile_numbers() const { return query_tile * state_width(options_.value_dim); }

  Queries queries_;
  PassOptions options_;
  const TileFunctions<T>& functions_;
  std::vector<Workspace> workspaces_;  // one for each thread
  std::vector<double> states_;         // of the tiles and chunks at hand
};

}  // namespace annulus::kernels
