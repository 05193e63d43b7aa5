#pragma once
// Products of dense row-major matrices, by BLAS.

#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::studies {

/// A dense row-major matrix.
struct Matrix {
  Index rows = 0;
  Index columns = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(Index r, Index c)
      : rows(r), columns(c), values(static_cast<std::size_t>(r) * static_cast<std::size_t>(c)) {}

  [[nodiscard]] double* row(Index i) { return values.data() + i * columns; }
  [[nodiscard]] const double* row(Index i) const { return values.data() + i * columns; }
};

/// A view of rows [begin, begin + count) of a matrix.
struct MatrixView {
  const double* data;
  Index rows;
  Index columns;
};
[[nodiscard]] inline MatrixView rows_of(const Matrix& matrix, Index begin, Index count) {
  return {matrix.row(begin), count, matrix.columns};
}
[[nodiscard]] inline MatrixView all_of(const Matrix& matrix) {
  return rows_of(matrix, 0, matrix.rows);
}

/// a b.
[[nodiscard]] Matrix product(const MatrixView& a, const MatrixView& b);
/// a b^T.
[[nodiscard]] Matrix product_transposed(const MatrixView& a, const MatrixView& b);

}  // namespace annulus::studies
