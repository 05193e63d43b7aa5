#include "studies/rows.hpp"

#include <cmath>

namespace annulus::studies {
namespace {

std::vector<double> sum_of_rows(comm::Communicator& communicator, const LocalRows& rows) {
  std::vector<double> sum(static_cast<std::size_t>(rows.dim));
  for (Index i = 0; i < rows.count(); ++i) {
    const auto row = rows.row(i);
    for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += row[c];
  }
  communicator.all_reduce(sum, comm::Reduction::sum);
  return sum;
}

}  // namespace

double norm(std::span<const double> vector) {
  double square = 0;
  for (const double value : vector) square += value * value;
  return std::sqrt(square);
}

LocalRows normalised(const LocalRows& rows) {
  LocalRows unit = rows;
  for (Index i = 0; i < unit.count(); ++i) {
    const double length = norm(unit.row(i));
    if (length == 0) continue;
    for (double& value : unit.row(i)) value /= length;
  }
  return unit;
}

double sum_over_ranks(comm::Communicator& communicator, double value) {
  communicator.all_reduce(std::span(&value, 1), comm::Reduction::sum);
  return value;
}

double mean_pairwise_cosine(comm::Communicator& communicator, const LocalRows& rows, Index n) {
  const double length = norm(sum_of_rows(communicator, normalised(rows)));
  const auto count = static_cast<double>(n);
  return (length * length - count) / (count * (count - 1));
}

double centred_norm(comm::Communicator& communicator, const LocalRows& rows, Index n) {
  const auto sum = sum_of_rows(communicator, rows);
  double square = 0;
  for (Index i = 0; i < rows.count(); ++i) {
    const auto row = rows.row(i);
    for (std::size_t c = 0; c < sum.size(); ++c) {
      const double centred = row[c] - sum[c] / static_cast<double>(n);
      square += centred * centred;
    }
  }
  return std::sqrt(sum_over_ranks(communicator, square));
}

}  // namespace annulus::studies
