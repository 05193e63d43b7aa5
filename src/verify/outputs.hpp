#pragma once
// What is compared with the reference, in fp64.

#include <string_view>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/kernels/reference.hpp"
#include "annulus/verify/validation.hpp"

namespace annulus::verify {

/// What an output has rows for; one of `parameters` is the same on all ranks.
enum class RowsOf { queries, keys, parameters };

/// An output by name, and the shape of its rows.
struct OutputKind {
  std::string_view name;
  RowsOf rows;
  Index heads;
  Index dim;

  [[nodiscard]] Index width() const { return heads * dim; }
};

[[nodiscard]] bool has_statistics(Checked what);
[[nodiscard]] bool has_gradients(Checked what);

/// In this order: out and lse, the statistics, and dq, dk, dv and dgain; as far as `what` has them.
[[nodiscard]] std::vector<OutputKind> output_kinds(const Problem& problem, Checked what);

/// The outputs of some rows: for each kind its numbers, row-major.
struct Outputs {
  std::vector<OutputKind> kinds;
  std::vector<std::vector<double>> numbers;

  /// With no rows yet.
  Outputs(const Problem& problem, Checked what);

  /// Zeros for all rows of the problem.
  [[nodiscard]] static Outputs whole(const Problem& problem, Checked what);

  /// Appends rows: of out and lse, of statistics where there are any.
  void append(ConstTensorView out, ConstTensorView lse, const StatisticsView& statistics);

  [[nodiscard]] TensorView out() { return view(0); }
  [[nodiscard]] TensorView lse() { return view(1); }
  [[nodiscard]] StatisticsView statistics();
  [[nodiscard]] kernels::WholeGradients gradients();

  static constexpr std::size_t first_statistic = 2;
  [[nodiscard]] std::size_t first_gradient() const {
    return first_statistic + (with_statistics_ ? row_statistics().size() : 0);
  }

 private:
  bool with_statistics_;
  [[nodiscard]] TensorView view(std::size_t which);
};

}  // namespace annulus::verify
