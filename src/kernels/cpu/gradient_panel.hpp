#pragma once
// The panels of the backward pass: some queries of one head against some keys, all five products
// at once.

#include "kernels/cpu/long_sums.hpp"
#include "kernels/cpu/tile.hpp"
#include "kernels/cpu/tile_registers.hpp"

namespace annulus::kernels {

/// Queries and keys of a panel, at most: a multiple of the tiles of both. What is packed once per
/// panel is used for so many rows of the other side.
inline constexpr Index gradient_panel = 768;

/// Queries over which tile registers sum to gradients of keys at once: their pairs fill whole
/// registers, and sums, which the first-level cache does not hold, are read half as often as for
/// every tile.
inline constexpr Index tiled_queries = 2 * query_tile;
static_assert(gradient_panel % tiled_queries == 0 &&
              operands<BFloat16>(tiled_queries) % tile_size == 0);

/// Rows of one head as they are, from which queries are packed.
template <class E>
struct GradientRows {
  const E* q;  ///< (rows, d)
  Index q_stride;
  const double* scale;  ///< (rows)
  const E* dout;        ///< (rows, d_v)
  Index dout_stride;
};

/// Queries of one head and the gradients of their outputs, packed for the four products that they
/// enter. Those from a later tile on are queries, too.
template <class E, class T = Accumulator<E>>
struct GradientQueries {
  Index count = 0;
  Operand<E>* q = nullptr;  ///< packed rows (count, d): scaled queries; bf16 as they are; of tile
                            ///< registers (count, operands of d)
  Operand<E>* dout = nullptr;          ///< packed rows (count, d_v)
  Operand<E>* q_factors = nullptr;     ///< (query tiles, chunks, query_tile, chunk) of d: as q; of
                                       ///< tile registers (rows / tiled_queries, d, operands of
                                       ///< tiled_queries)
  Operand<E>* dout_factors = nullptr;  ///< likewise of d_v
  T* scale = nullptr;                  ///< (count): of the queries that are as they are
  T* scaled = nullptr;                 ///< (query_tile, d): scaled queries, while they are packed
};

/// Keys and values, packed for the three products that they enter.
template <class E>
struct GradientKeys {
  Index count = 0;
  Operand<E>* columns = nullptr;        ///< K as pack_keys leaves it: logits
  Operand<E>* value_columns = nullptr;  ///< V likewise: <dout, v>
  Operand<E>* factors = nullptr;        ///< K as pack_values leaves it: dq
};

/// What one worker computes in, for elements of type E and sums of type T. All arrays are aligned
/// to vectors; those from `logits` on start as zeros, so that those that no tile writes are
/// numbers.
template <class E, class T = Accumulator<E>>
struct GradientScratch {
  T* dq;        ///< (query tiles, chunks, query_tile, chunk) of d: Sum_j dz k_j
                ///< over the keys of the panel
  T* dk;        ///< (chunks, key_tile, chunk) of d, of one key tile; of tile
                ///< registers (d, key_tile)
  T* dv;        ///< likewise of d_v
  T* logits;    ///< (query_tile, key_tile)
  T* products;  ///< (query_tile, key_tile): <dout, v>
  // What multiplies, by query or by key as Weights says. Pairs have arrays of their own; else p
  // takes the place of logits, and dz that of products.
  Operand<E>* p;            ///< by key: multiplies dout
  Operand<E>* dz_by_key;    ///< multiplies q: dz; of queries that are as they are, scale dz
  Operand<E>* dz_by_query;  ///< multiplies k
};

/// The queries of one head in a panel, and where gradients go.
template <class E, class T = Accumulator<E>>
struct GradientPanel {
  VisibleRows
      rows;         ///< of the queries; at most gradient_panel, keys counted from the panel's first
  Index dim;        ///< d
  Index value_dim;  ///< d_v
  const T* lse;     ///< (rows)
  const T* lse_low;  ///< (rows)
  const T* mean;     ///< (rows): <dout, out>
  double* dq;        ///< (rows, d) dense: Sum_j dz k_j is added
  GradientQueries<E> queries;
  GradientKeys<E> keys;
  LongSums<T> dk;  ///< (keys, d), added to
  LongSums<T> dv;  ///< (keys, d_v), added to
  GradientScratch<E> scratch;
};

}  // namespace annulus::kernels
