#pragma once
// Owned tensors for tests.

#include <random>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor_view.hpp"

namespace annulus::test {

/// A dense (rows, heads, dim) array.
template <class T>
struct Tensor {
  Index rows = 0;
  Index heads = 0;
  Index dim = 0;
  std::vector<T> values;

  Tensor() = default;
  Tensor(Index r, Index h, Index d)
      : rows(r), heads(h), dim(d), values(static_cast<std::size_t>(r * h * d)) {}

  [[nodiscard]] TensorView view() { return dense_view(values.data(), rows, heads, dim); }
  [[nodiscard]] ConstTensorView view() const { return dense_view(values.data(), rows, heads, dim); }
  [[nodiscard]] T& at(Index i, Index h, Index c) {
    return values[static_cast<std::size_t>((i * heads + h) * dim + c)];
  }
  [[nodiscard]] const T& at(Index i, Index h, Index c) const {
    return values[static_cast<std::size_t>((i * heads + h) * dim + c)];
  }
};

/// Standard normal entries times `size`, rounded to T.
template <class T>
[[nodiscard]] Tensor<T> random_tensor(std::mt19937_64& random, Index rows, Index heads, Index dim,
                                      double size = 1.0) {
  Tensor<T> tensor(rows, heads, dim);
  std::normal_distribution<double> normal;
  for (auto& value : tensor.values) value = static_cast<T>(size * normal(random));
  return tensor;
}

/// All that a forward pass writes.
template <class T>
struct Outputs {
  Tensor<T> out;
  Tensor<T> lse;
  std::vector<Tensor<T>> statistics;  ///< in the order of row_statistics()

  Outputs(Index rows, Index heads, Index value_dim)
      : out(rows, heads, value_dim),
        lse(rows, heads, 1),
        statistics(row_statistics().size(), {rows, heads, 1}) {}

  [[nodiscard]] const Tensor<T>& statistic(std::string_view name) const {
    return statistics[place_of_statistic(name)];
  }
  [[nodiscard]] StatisticsView statistics_view() { return statistics_view_of(statistics); }
};

}  // namespace annulus::test
