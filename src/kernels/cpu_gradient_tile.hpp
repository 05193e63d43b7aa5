#pragma once
// The tile of the backward pass. Queries meet keys twice: with queries as rows for dq, and with
// keys as rows for dk and dv. Each row's sums then belong to one thread, and no sum depends on the
// number of threads.

#include "kernels/cpu_tile.hpp"

namespace annulus::kernels {

/// What one worker computes in. All arrays are aligned to vectors and start as zeros.
template <class T>
struct GradientScratch {
  T* rows;        ///< packed rows (query_tile, d)
  T* value_rows;  ///< packed rows (query_tile, d_v)
  T* weights;     ///< (query_tile, key_tile): logits, then p
  T* gradients;   ///< (query_tile, key_tile): <dout, v>, then dz
  T* sums;        ///< (chunks, query_tile, chunk) of d
  T* value_sums;  ///< (chunks, query_tile, chunk) of d_v
};

/// A tile of rows, and the packed columns that it meets. Queries as rows: rows are scaled q and
/// dout, columns k and v, sums those of dz k. Keys as rows: rows are k and v, columns scaled q and
/// dout, sums those of dz (scaled q) and of p dout.
template <class T>
struct GradientTile {
  VisibleRows rows;
  Index dim;        ///< d
  Index value_dim;  ///< d_v
  const T* left;    ///< (rows, d): its products with `columns` are logits
  Index left_stride;
  const T* value_left;  ///< (rows, d_v): its products with `value_columns` are <dout, v>
  Index value_left_stride;
  const T* columns;        ///< as pack_keys leaves them, d
  const T* value_columns;  ///< as pack_keys leaves them, d_v
  const T* factors;        ///< as pack_values leaves them, d: what dz is multiplied with
  const T* value_factors;  ///< as pack_values leaves them, d_v: what p is multiplied with; or null
  const T* lse;            ///< of the queries: one a row, or one a column
  const T* mean;           ///< <dout, out>, likewise
  bool queries_are_rows;
  Index columns_begin;  ///< no row sees columns before this one,
  Index columns_end;    ///< nor from this one on; both lie among the packed columns
  T* sums;              ///< (rows, d), added to
  Index sums_stride;
  T* value_sums;  ///< (rows, d_v), added to; or null
  Index value_sums_stride;
  GradientScratch<T> scratch;
};

/// Adds what the visible pairs of a tile give, for the instruction set in use.
template <class T>
void accumulate_gradients(const GradientTile<T>& tile);

}  // namespace annulus::kernels
