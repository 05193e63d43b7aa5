#pragma once
// What is measured of a row of attention probabilities, from the softmax state alone.

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include "annulus/attention/softmax_state.hpp"
#include "annulus/attention/with_statistics.hpp"
#include "annulus/base/tensor_view.hpp"

namespace annulus {

/// Statistics of one row of probabilities p. A sink counts as one more key.
template <class T>
struct RowStatistics {
  T entropy = 0;          ///< H = -Sum p ln p = ln l - s / l
  T effective_keys = 0;   ///< e^H
  T participation = 0;    ///< 1 / Sum p^2 = l^2 / u
  T max_probability = 0;  ///< e^(m - lse) = 1 / l
  T max_logit = -std::numeric_limits<T>::infinity();
  T self_probability = 0;  ///< p of the query's own position, 0 where that is not a visible key
};

/// The statistics of a finished row; `self_logit` is -inf where the query's own position is not a
/// visible key. A row that saw nothing has max_logit -inf and all else 0. Rounding cannot push
/// entropy below 0 or probabilities above 1.
template <class T>
[[nodiscard]] RowStatistics<T> statistics_of(const SoftmaxState<T>& state, T self_logit) {
  if (state.empty()) return {};
  const T lse = state.lse();
  const T entropy = std::max(T{0}, std::log(state.sum) - state.moment / state.sum);
  return {.entropy = entropy,
          .effective_keys = std::exp(entropy),
          .participation = std::max(T{1}, state.sum * state.sum / state.squares),
          .max_probability = std::min(T{1}, T{1} / state.sum),
          .max_logit = state.maximum,
          .self_probability = std::min(T{1}, std::exp(self_logit - lse))};
}

/// Where the statistics of all rows are written: views of shape (rows, heads, 1), one for each
/// member of RowStatistics.
struct StatisticsView {
  TensorView entropy;
  TensorView effective_keys;
  TensorView participation;
  TensorView max_probability;
  TensorView max_logit;
  TensorView self_probability;

  [[nodiscard]] bool present() const { return entropy.present(); }
};

/// A member of RowStatistics and of StatisticsView by name.
struct Statistic {
  const char* name;
  double RowStatistics<double>::*value;
  TensorView StatisticsView::*view;
};
inline constexpr std::array<Statistic, 6> row_statistics{
    {{"entropy", &RowStatistics<double>::entropy, &StatisticsView::entropy},
     {"effective_keys", &RowStatistics<double>::effective_keys, &StatisticsView::effective_keys},
     {"participation", &RowStatistics<double>::participation, &StatisticsView::participation},
     {"max_probability", &RowStatistics<double>::max_probability, &StatisticsView::max_probability},
     {"max_logit", &RowStatistics<double>::max_logit, &StatisticsView::max_logit},
     {"self_probability", &RowStatistics<double>::self_probability,
      &StatisticsView::self_probability}}};

/// A view of one tensor for each of row_statistics, in their order; each has a function view().
template <class Tensors>
[[nodiscard]] StatisticsView statistics_view_of(Tensors& tensors) {
  StatisticsView all;
  auto tensor = std::begin(tensors);
  for (const auto& statistic : row_statistics) all.*statistic.view = (tensor++)->view();
  return all;
}

/// Writes the statistics of row i, head h. T is the type of the tensors.
template <class T, class S>
void write_statistics(const StatisticsView& view, Index i, Index h, const RowStatistics<S>& row) {
  *view.entropy.row<T>(i, h) = static_cast<T>(row.entropy);
  *view.effective_keys.row<T>(i, h) = static_cast<T>(row.effective_keys);
  *view.participation.row<T>(i, h) = static_cast<T>(row.participation);
  *view.max_probability.row<T>(i, h) = static_cast<T>(row.max_probability);
  *view.max_logit.row<T>(i, h) = static_cast<T>(row.max_logit);
  *view.self_probability.row<T>(i, h) = static_cast<T>(row.self_probability);
}

}  // namespace annulus
