#pragma once
// The statistics of rows of attention probabilities, and where they are written.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/attention/softmax_state.hpp"
#include "annulus/attention/statistic.hpp"
#include "annulus/attention/with_statistics.hpp"
#include "annulus/base/tensor_view.hpp"

namespace annulus {

/// All that there are, in the order in which users see them.
[[nodiscard]] std::span<const Statistic> row_statistics();

/// The place of a statistic in that order. Throws InputError, with the names that there are.
[[nodiscard]] std::size_t place_of_statistic(std::string_view name);

/// One number for each statistic, in their order.
struct RowStatistics {
  std::vector<double> values = std::vector<double>(row_statistics().size());

  [[nodiscard]] double operator[](std::string_view name) const {
    return values[place_of_statistic(name)];
  }
};

/// The row that all keys of a state make; `self_logit` is -inf where the query's own position is
/// not a visible key.
template <class T>
[[nodiscard]] FinishedRow<T> finished_row(const SoftmaxState<T>& state, T self_logit) {
  const T log_sum = state.log_sum();
  return {.maximum = state.maximum,
          .sum = state.sum,
          .moment = state.moment,
          .squares = state.squares,
          .self_logit = self_logit,
          .log_sum = log_sum,
          .lse = state.maximum + log_sum};
}

/// Where the statistics of all rows are written.
struct StatisticsView {
  /// (rows, H, 1) for each of row_statistics(), in their order, absent where it is not wanted; or
  /// empty: none is.
  std::vector<TensorView> views{};

  /// Whether any is wanted.
  [[nodiscard]] bool present() const {
    return std::ranges::any_of(views, [](const auto& view) { return view.present(); });
  }
  [[nodiscard]] TensorView at(std::size_t place) const {
    return views.empty() ? TensorView{} : views[place];
  }
};

/// A view of one tensor for each of row_statistics(), in their order; each has a function view().
template <class Tensors>
[[nodiscard]] StatisticsView statistics_view_of(Tensors& tensors) {
  StatisticsView all;
  for (auto& tensor : tensors) all.views.push_back(tensor.view());
  return all;
}

/// Writes value(statistic) for row i, head h where that is wanted. T is the type of the tensors.
template <class T, class Value>
void write_statistics(const StatisticsView& to, Index i, Index h, Value value) {
  for (std::size_t s = 0; s < to.views.size(); ++s) {
    if (!to.views[s].present()) continue;
    *to.views[s].row<T>(i, h) = static_cast<T>(value(row_statistics()[s]));
  }
}

}  // namespace annulus
