#include "studies/dense_product.hpp"

#include <cblas.h>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::studies {
namespace {

Matrix multiply(const MatrixView& a, const MatrixView& b, bool transpose_b) {
  const Index inner = transpose_b ? b.columns : b.rows;
  ensure(a.columns == inner, "factors have the same inner size");
  Matrix c(a.rows, transpose_b ? b.rows : b.columns);
  if (c.values.empty() || inner == 0) return c;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              narrow<int>(c.rows), narrow<int>(c.columns), narrow<int>(inner), 1.0, a.data,
              narrow<int>(a.columns), b.data, narrow<int>(b.columns), 0.0, c.values.data(),
              narrow<int>(c.columns));
  return c;
}

}  // namespace

Matrix product(const MatrixView& a, const MatrixView& b) {
  return multiply(a, b, false);
}

Matrix product_transposed(const MatrixView& a, const MatrixView& b) {
  return multiply(a, b, true);
}

}  // namespace annulus::studies
