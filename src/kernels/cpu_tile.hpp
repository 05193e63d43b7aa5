#pragma once
// The tiles that the cpu backend works in, and the functions on them, one set per instruction set.

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Queries of one tile: a multiple of the rows of every register tile.
inline constexpr Index query_tile = 48;

/// Keys of one tile: a multiple of the keys of every register tile. 384 bytes a row, so that the
/// scores of a query tile stay in the first-level cache.
template <class T>
inline constexpr Index key_tile = 384 / static_cast<Index>(sizeof(T));

/// The rows of a tile, and what each sees.
struct VisibleRows {
  Index count;              ///< at most query_tile
  const Interval* visible;  ///< of each row, counted from the first packed key; may reach outside
};

/// What one worker computes in. All arrays are aligned to vectors and start as zeros.
template <class T>
struct TileScratch {
  T* q;        ///< queries times scale, (query_tile / score rows, d, score rows)
  T* scores;   ///< (query_tile, key_tile): logits, then weights
  T* out;      ///< (value chunks, query_tile, chunk): Sum e^(z-m) v
  T* sum;      ///< (query_tile, lanes): l, summed over lanes
  T* moment;   ///< (query_tile, lanes): s, likewise
  T* squares;  ///< (query_tile, lanes): u, likewise
};

/// The state of consecutive rows of one head; the members are those of SoftmaxState.
template <class T>
struct TileState {
  T* maximum;
  T* sum;
  T* moment;
  T* squares;
  T* self_logit;
  T* values;  ///< (rows, d_v): Sum e^(z-m) v
};

/// A tile of queries of one head, and the keys that it sees: packed, or, for few queries, as they
/// are.
template <class T>
struct ForwardTile {
  VisibleRows rows;
  Index dim;        ///< d
  Index value_dim;  ///< d_v
  const T* q;       ///< (rows, d)
  Index q_stride;   ///< between rows
  const double* scale;
  Index scale_stride;
  const T* keys;         ///< packed key tiles, end to end; or rows
  const T* values;       ///< packed value tiles, end to end; or rows
  Index key_stride = 0;  ///< between rows that are not packed
  Index value_stride = 0;
  const Index*
      self_key;      ///< of each row, like `visible`; negative where it is not among these keys
  Index keys_begin;  ///< no row sees keys before this one,
  Index keys_end;    ///< nor from this one on; both lie among the packed keys
  bool statistics;   ///< whether to sum moments and squares and to capture self logits
  TileState<T> state;
  TileScratch<T> scratch;
};

/// The functions of one instruction set. Packed values are padded to `padded(d_v)` columns.
template <class T>
struct TileFunctions {
  const char* target;
  Index lanes;  ///< elements of a vector

  /// Packs `count` <= key_tile keys, `stride` apart, into d * key_tile elements; the rest are 0.
  void (*pack_keys)(const T* keys, Index stride, Index count, Index dim, T* packed);

  /// Packs as many values into padded(d_v) * key_tile elements; the rest are 0.
  void (*pack_values)(const T* values, Index stride, Index count, Index value_dim, T* packed);

  /// Accumulates the visible keys into the state.
  void (*accumulate)(const ForwardTile<T>& tile);

  /// The same for keys and values that are not packed, whose dimensions are multiples of `lanes`.
  /// Pays where rows are few.
  void (*accumulate_rows)(const ForwardTile<T>& tile);

  [[nodiscard]] Index padded(Index value_dim) const { return ceil_div(value_dim, lanes) * lanes; }
};

/// The functions for the instruction set in use.
template <class T>
[[nodiscard]] const TileFunctions<T>& tile_functions();

}  // namespace annulus::kernels
