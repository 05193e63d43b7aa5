#pragma once
// What is compiled once for each instruction set.

#include "kernels/cpu/gradient_panel.hpp"
#include "kernels/cpu/tile.hpp"

namespace annulus::kernels {

/// The functions of one instruction set for elements of type E.
template <class E>
struct TileFunctions {
  const char* target;
  Index lanes;              ///< sums of a vector
  Index summed_queries;     ///< over which gradients of keys are summed at once, one tile or more
  bool outruns_last_cache;  ///< whether products wait for operands from the last-level cache

  /// Packs `count` <= key_tile keys, `stride` apart; the rest are 0.
  void (*pack_keys)(const E* keys, Index stride, Index count, Index dim, Operand<E>* packed);

  /// Packs as many values; the rest are 0.
  void (*pack_values)(const E* values, Index stride, Index count, Index value_dim,
                      Operand<E>* packed);

  /// Accumulates the visible keys into the state.
  void (*accumulate)(const ForwardTile<E>& tile);

  /// Packs `keys.count` keys and values, `stride` apart, for gradients.
  void (*pack_gradient_keys)(const E* k, Index stride, const E* v, Index value_stride, Index dim,
                             Index value_dim, const GradientKeys<E>& keys);

  /// Packs `queries.count` queries and gradients of outputs.
  void (*pack_gradient_queries)(const GradientRows<E>& rows, Index dim, Index value_dim,
                                const GradientQueries<E>& queries);

  /// Adds what the visible pairs of a panel give to its gradients.
  void (*accumulate_gradients)(const GradientPanel<E>& panel);

  /// to[c] = factor sums[c], rounded once.
  void (*scale_sums)(const double* sums, Index count, double factor, Accumulator<E>* to);

  /// Columns of packed values: whole vectors.
  [[nodiscard]] Index padded(Index value_dim) const { return ceil_div(value_dim, lanes) * lanes; }
  /// Operands of so many packed keys, a multiple of key_tile.
  [[nodiscard]] Index packed_keys(Index keys, Index dim) const { return keys * operands<E>(dim); }
  /// Operands of so many packed values.
  [[nodiscard]] Index packed_values(Index keys, Index value_dim) const {
    return operands<E>(keys) * padded(value_dim);
  }
  /// Packed queries that so many take.
  [[nodiscard]] Index room_of(Index queries) const {
    return ceil_div(queries, summed_queries) * summed_queries;
  }
  /// Operands of so many rows that are summed over to gradients, a multiple of summed_queries.
  [[nodiscard]] Index query_factors(Index rows, Index dim) const {
    return operands<E>(rows) * padded(dim);
  }

  /// `count` of packed queries from the first of summed_queries on.
  [[nodiscard]] GradientQueries<E> part_of(const GradientQueries<E>& queries, Index row,
                                           Index count, Index dim, Index value_dim) const {
    return {.count = count,
            .q = queries.q + row * operands<E>(dim),
            .dout = queries.dout + row * operands<E>(value_dim),
            .q_factors = queries.q_factors + query_factors(row, dim),
            .dout_factors = queries.dout_factors + query_factors(row, value_dim),
            .scale = queries.scale + row,
            .scaled = queries.scaled};
  }

  /// `count` of packed keys from the first of a tile on.
  [[nodiscard]] GradientKeys<E> part_of(const GradientKeys<E>& keys, Index row, Index count,
                                        Index dim, Index value_dim) const {
    return {.count = count,
            .columns = keys.columns + packed_keys(row, dim),
            .value_columns = keys.value_columns + packed_keys(row, value_dim),
            .factors = keys.factors + packed_values(row, dim)};
  }
};

/// The functions for the instruction set in use. For bf16, only where there is its dot product.
template <class E>
[[nodiscard]] const TileFunctions<E>& tile_functions();

/// The same with tile registers for the products, only where the machine has them.
[[nodiscard]] const TileFunctions<BFloat16>& amx_functions();

/// The functions of one instruction set for keys and values of elements of type S as they are.
template <class S>
struct RowFunctions {
  /// to[i] = from[i], exact.
  void (*widen)(const S* from, Index count, Accumulator<S>* to);

  /// Accumulates the visible keys into the state. Dimensions are multiples of a vector of sums.
  /// Pays where rows are few.
  void (*accumulate)(const RowTile<S>& tile);

  /// The same with dot products for scores: for bf16 and queries that hold numbers of bf16, on
  /// machines that have them; else null. d is a multiple of two vectors of sums.
  void (*accumulate_pairs)(const RowTile<S>& tile);
};

/// The functions for the instruction set in use.
template <class S>
[[nodiscard]] const RowFunctions<S>& row_functions();

/// Whether the instruction set in use has functions for bf16, on machines that have its dot
/// product.
[[nodiscard]] bool target_has_bf16_tiles();

}  // namespace annulus::kernels
