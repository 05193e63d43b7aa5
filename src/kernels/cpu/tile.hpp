#pragma once
// The tiles that the cpu backend works in, and the functions on them, one set per instruction set.

#include <algorithm>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"
#include "kernels/cpu/operand.hpp"

namespace annulus::kernels {

/// Queries of one tile: a multiple of the rows of every register tile.
inline constexpr Index query_tile = 48;

/// Keys of one tile of elements of type E: a multiple of the keys of every register tile. 384 bytes
/// of weights a row, so that a query tile of them stays in the first-level cache.
template <class E>
inline constexpr Index key_tile = 384 / static_cast<Index>(sizeof(E));

/// Keys of one tile that few queries meet as they are: so few that reading keys and reading values
/// take turns often, and neither waits for the other.
template <class T>
inline constexpr Index row_tile = 128 / static_cast<Index>(sizeof(T));

/// Key tiles over which the forward pass sums in the type of sums, before it merges with the state.
inline constexpr Index summed_tiles = 12;

/// The rows of a tile, and what each sees.
struct VisibleRows {
  Index count;              ///< at most query_tile
  const Interval* visible;  ///< of each row, counted from the first packed key; may reach outside
};

/// What one worker computes in, for elements of type E and sums of type T. All arrays are aligned
/// to vectors; scores and weights start as zeros, so that those that no tile writes are numbers.
template <class E, class T = Accumulator<E>>
struct TileScratch {
  Operand<E>* q;        ///< (query_tile / score rows, operands of d, score rows): queries times
                        ///< scale, or pairs of queries as they are
  T* scale;             ///< (query_tile): of the queries that are as they are
  T* scores;            ///< (query_tile, key_tile): logits
  Operand<E>* weights;  ///< (query_tile, operands of key_tile); `scores` itself unless pairs
  // The state over the keys at hand, centred where no logit is far above.
  T* centre;   ///< (query_tile): c
  T* largest;  ///< (query_tile, lanes): the largest logits, over lanes m, where they are found
  T* out;      ///< (value chunks, query_tile, chunk): Sum e^(z-c) v
  T* sum;      ///< (query_tile, lanes): l, summed over lanes
  T* moment;   ///< (query_tile, lanes): s, likewise
  T* squares;  ///< (query_tile, lanes): u, likewise
};

/// The state of consecutive rows of one head; the members are those of SoftmaxState. It is fp64, as
/// one fp32 sum over n keys would lose n roundings. Without statistics the maximum may be a number
/// that logits exceed a little, as the centre of sums does.
struct TileState {
  double* maximum;
  double* sum;
  double* moment;
  double* squares;
  double* self_logit;
  double* values;  ///< (rows, d_v): Sum e^(z-m) v; anything where a row has seen nothing

  /// The state from row `row` on.
  [[nodiscard]] TileState from(Index row, Index value_dim) const {
    return {maximum + row, sum + row,        moment + row,
            squares + row, self_logit + row, values + row * value_dim};
  }

  /// The numbers of the first row.
  [[nodiscard]] SoftmaxState<double> softmax() const { return {*maximum, *sum, *moment, *squares}; }

  /// Makes the numbers of the first `rows` rows those of rows that have seen nothing.
  void clear(Index rows) const {
    constexpr PartialState<double> nothing;
    std::fill_n(maximum, rows, nothing.softmax.maximum);
    for (double* numbers : {sum, moment, squares}) std::fill_n(numbers, rows, 0.0);
    std::fill_n(self_logit, rows, nothing.self_logit);
  }
};

/// A tile of queries of one head, and the packed keys that it sees.
template <class E>
struct ForwardTile {
  VisibleRows rows;
  Index dim;                 ///< d
  Index value_dim;           ///< d_v
  const E* q;                ///< (rows, d)
  Index q_stride;            ///< between rows
  const double* scale;       ///< (rows)
  const Operand<E>* keys;    ///< packed key tiles, end to end
  const Operand<E>* values;  ///< packed value tiles, end to end
  const Index*
      self_key;      ///< of each row, like `visible`; negative where it is not among these keys
  Index keys_begin;  ///< no row sees keys before this one,
  Index keys_end;    ///< nor from this one on; both lie among the packed keys
  bool statistics;   ///< whether to sum moments and squares and to capture self logits
  TileState state;
  TileScratch<E> scratch;
};

/// A tile of few queries, and the keys that it sees as they are: rows of elements of type S, which
/// are converted to the type of the sums as they are read.
template <class S>
struct RowTile {
  ForwardTile<Accumulator<S>> tile;  ///< but for its keys and values
  const S* keys;                     ///< (keys, d)
  Index key_stride;                  ///< between rows
  const S* values;                   ///< (keys, d_v)
  Index value_stride;
  Index rows_end;    ///< rows before this one may be read by tiles to come, and are fetched ahead
  bool from_memory;  ///< whether they are more than the caches hold
};

}  // namespace annulus::kernels
