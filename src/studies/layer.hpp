#pragma once
// One attention layer of the model: q = k = v = y, beta = gamma ln n, no mask, base scale 1.

#include "annulus/attention/statistics.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/studies/study.hpp"
#include "studies/rows.hpp"

namespace annulus::studies {

/// The rows of n tokens that a rank holds in a study: contiguous, in the order of ranks.
[[nodiscard]] std::vector<Index> rows_of_rank(Index n, const comm::Communicator& communicator);

struct Attended {
  LocalRows out;        ///< of the rank's queries
  RowStatistics means;  ///< over the queries of all ranks
};

/// Collective. Attention of `queries` over `keys` with values `values` and critical scaling: the
/// rank's rows of each. `n_q` and `n` count the rows of all ranks. Computes in `type`.
[[nodiscard]] Attended attend(const Resources& resources, DataType type, Index n_q, Index n,
                              double gamma, const LocalRows& queries, const LocalRows& keys,
                              const LocalRows& values);

/// A layer over n tokens.
struct Layer {
  LocalRows out;
  RowStatistics means;
  double output_cosine = 0;  ///< mean pairwise cosine of the outputs
  double spread = 0;         ///< |O - 1 mean(O)|_F
};

/// Collective. `y` are the rank's unit tokens, `residual` times `x` is added to what comes out
/// before cosine and spread are taken.
[[nodiscard]] Layer apply_layer(const Resources& resources, DataType type, Index n, double gamma,
                                const LocalRows& y, double residual, const LocalRows& x);

}  // namespace annulus::studies
