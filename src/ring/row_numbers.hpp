#pragma once
// Numbers of query rows that make their scales: beta, or what a caller's table has in its place.

#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/device_tensors.hpp"

namespace annulus::ring {

/// Numbers (rows, 1) or (rows, H) of the host, and where kernels read them.
struct RowNumbers {
  ConstTensorView there{};         ///< (rows, 1, 1) or (rows, H, 1), fp64, on the device
  std::span<const double> here{};  ///< row-major
};

/// Numbers (rows, columns), row-major, as a tensor (rows, columns, 1).
[[nodiscard]] inline ConstTensorView view_of(std::span<const double> numbers, Index columns) {
  return dense_view(numbers.data(), std::ssize(numbers) / columns, columns, 1);
}

/// gain_h c of each of `heads`, which multiplies the numbers of rows; `gain` (H) may be empty: 1.
[[nodiscard]] std::vector<double> head_factors(const Problem& problem, Interval heads,
                                               std::span<const double> gain);

/// beta(n_i) of the query rows of any rank of a plan: made when it is first asked for and kept, as
/// it depends on where a query stands in its document alone.
class RowBetas {
 public:
  RowBetas(Plan plan, std::shared_ptr<device::Stream> stream)
      : plan_(std::move(plan)), stream_(std::move(stream)) {}

  /// Stays where it is.
  [[nodiscard]] RowNumbers of(int rank);

 private:
  struct Betas {
    std::vector<double> here;
    DeviceInput there;
  };
  Plan plan_;
  std::shared_ptr<device::Stream> stream_;
  std::map<int, Betas> made_;
};

}  // namespace annulus::ring
