#pragma once
// Rows that are spread over ranks, and what is summed over all of them.

#include <functional>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/comm/communicator.hpp"

namespace annulus::studies {

/// Rows of a matrix that a rank holds, dense and row-major.
struct LocalRows {
  Index dim = 1;
  std::vector<double> values;

  [[nodiscard]] Index count() const { return static_cast<Index>(values.size()) / dim; }
  [[nodiscard]] std::span<const double> row(Index i) const {
    return std::span(values).subspan(static_cast<std::size_t>(i * dim),
                                     static_cast<std::size_t>(dim));
  }
  [[nodiscard]] std::span<double> row(Index i) {
    return std::span(values).subspan(static_cast<std::size_t>(i * dim),
                                     static_cast<std::size_t>(dim));
  }
};

[[nodiscard]] double norm(std::span<const double> vector);

/// The rows divided by their norms; a zero row stays zero.
[[nodiscard]] LocalRows normalised(const LocalRows& rows);

/// Collective. The sum of `value` over ranks.
[[nodiscard]] double sum_over_ranks(comm::Communicator& communicator, double value);

/// Collective. Mean pairwise cosine of n rows: (|sum of unit rows|^2 - n) / (n (n - 1)).
[[nodiscard]] double mean_pairwise_cosine(comm::Communicator& communicator, const LocalRows& rows,
                                          Index n);

/// Collective. |X - 1 mean(X)|_F of n rows, from centred rows so that nothing cancels.
[[nodiscard]] double centred_norm(comm::Communicator& communicator, const LocalRows& rows, Index n);

}  // namespace annulus::studies
