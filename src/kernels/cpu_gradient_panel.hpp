#pragma once
// The panels of the backward pass: some queries of one head against some keys, all five products
// at once.

#include "kernels/cpu_tile.hpp"

namespace annulus::kernels {

/// Queries and keys of a panel, at most: a multiple of the tiles of both. What is packed once per
/// panel is used for so many rows of the other side.
inline constexpr Index gradient_panel = 768;

/// Keys and values of a panel, packed for the three products that they enter.
template <class T>
struct GradientKeys {
  Index count = 0;
  T* columns = nullptr;        ///< K as pack_keys leaves it, (panel, d): logits
  T* value_columns = nullptr;  ///< V likewise, (panel, d_v): <dout, v>
  T* factors = nullptr;        ///< K as pack_values leaves it, (panel, padded d): dq
};

/// What one worker computes in. All arrays are aligned to vectors and start as zeros.
template <class T>
struct GradientScratch {
  T* q;             ///< packed rows (panel, d): scaled queries
  T* dout;          ///< packed rows (panel, d_v)
  T* q_factors;     ///< (query tiles, chunks, query_tile, chunk) of d: scaled queries
  T* dout_factors;  ///< likewise of d_v
  T* dq;            ///< likewise of d: Sum_j dz k_j
  T* dk;            ///< (chunks, key_tile, chunk) of d, of one key tile
  T* dv;            ///< likewise of d_v
  T* weights;       ///< (query_tile, key_tile): logits, then p
  T* gradients;     ///< (query_tile, key_tile): <dout, v>, then dz
  T* scaled;        ///< (query_tile, d): scaled queries
};

/// The queries of one head in a panel, and where gradients go.
template <class T>
struct GradientPanel {
  VisibleRows
      rows;         ///< of the queries; at most gradient_panel, keys counted from the panel's first
  Index dim;        ///< d
  Index value_dim;  ///< d_v
  const T* q;       ///< (rows, d)
  Index q_stride;
  const double* scale;
  Index scale_stride;
  const T* dout;  ///< (rows, d_v)
  Index dout_stride;
  const T* lse;   ///< (rows)
  const T* mean;  ///< (rows): <dout, out>
  T* dq;          ///< (rows, d) dense: Sum_j dz k_j is added
  GradientKeys<T> keys;
  T* dk;  ///< (keys, d), added to
  Index dk_stride;
  T* dv;  ///< (keys, d_v), added to
  Index dv_stride;
  GradientScratch<T> scratch;
};

/// Packs `keys.count` keys and values, `stride` apart, for the instruction set in use.
template <class T>
void pack_gradient_keys(const T* k, Index stride, const T* v, Index value_stride, Index dim,
                        Index value_dim, const GradientKeys<T>& keys);

/// Adds what the visible pairs of a panel give.
template <class T>
void accumulate_gradients(const GradientPanel<T>& panel);

}  // namespace annulus::kernels
