#pragma once
// How far sums that are computed in floating point may be from exact.

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <hwy/base.h>

#include "annulus/base/index.hpp"
#include "annulus/kernels/error_bounds.hpp"

namespace annulus::kernels {

/// Errors e_j d_j with independent d_j of mean 0 in [-1, 1] add up to at most lambda (Sum
/// e_j^2)^1/2 but for a probability of 2 e^(-3 lambda^2 / 2) where they are spread evenly, which is
/// 8e-11 (Hoeffding's bound with their variance, 1/3; as in Higham and Mary, A new approach to
/// probabilistic rounding error analysis, 2019).
inline constexpr double lambda = 4;

/// Steps of a ring, at most, in each of which what a key has gathered is rounded once.
inline constexpr Index most_steps = 4096;

/// How far a number may be off.
struct RoundingError {
  double own = 0;     ///< the size of what is independent of the errors of other numbers
  double shared = 0;  ///< the most that the rest comes to

  /// The most that it is off, but for the probability above.
  [[nodiscard]] double most() const { return lambda * own + shared; }

  /// Of a sum of two numbers.
  friend RoundingError operator+(const RoundingError& a, const RoundingError& b) {
    return {std::sqrt(a.own * a.own + b.own * b.own), a.shared + b.shared};
  }
  friend RoundingError operator*(double factor, const RoundingError& error) {
    return {std::abs(factor) * error.own, std::abs(factor) * error.shared};
  }
};

/// Of a sum of `count` terms whose partial sums are at most `reach`: of as many additions as are
/// made one after the other, and of a few factors that bring partial sums to one maximum.
/// `besides`: additions of parts.
[[nodiscard]] inline RoundingError of_additions(Index count, const Roundings& roundings,
                                                double reach, Index besides = 0) {
  const auto chain =
      static_cast<double>(std::min(count, std::min(count, roundings.longest_sum) + besides));
  return {roundings.sum * reach * (std::min(chain / lambda, std::sqrt(chain)) + 2), 0};
}

/// Of a few roundings of numbers of this size.
[[nodiscard]] inline RoundingError few_roundings(double u, double size) {
  return {2 * u * size, 0};
}

/// Of a product of two vectors of `dim` numbers whose terms are of this size together.
[[nodiscard]] inline RoundingError of_product(Index dim, double u, double size) {
  return {u * size * std::sqrt(static_cast<double>(dim + 4)), 0};
}

/// `rows` vectors of sums y = Sum_j t_j of terms with errors. Their own errors add up like random
/// numbers, beside a part that all of them may have in common, of the signs of the terms. Partial
/// sums reach |y| + lambda (Sum t_j^2)^1/2.
class RoundedSums {
 public:
  /// `besides`: additions of parts of a sum.
  RoundedSums(Index rows, Index dim, Index besides = 0)
      : dim_(dim), besides_(besides), counts_(static_cast<std::size_t>(rows)) {
    for (auto& part : parts_) part.resize(static_cast<std::size_t>(rows * dim));
  }

  void clear() {
    std::ranges::fill(counts_, 0);
    for (auto& part : parts_) std::ranges::fill(part, 0.0);
  }

  /// Adds factor * x; the error is that of the factor.
  void add(Index row, const double* HWY_RESTRICT x, double factor, const RoundingError& error) {
    ++counts_[static_cast<std::size_t>(row)];
    double* HWY_RESTRICT sum = parts_[0].data() + row * dim_;
    double* HWY_RESTRICT squares = parts_[1].data() + row * dim_;
    double* HWY_RESTRICT alike = parts_[2].data() + row * dim_;
    double* HWY_RESTRICT own_squares = parts_[3].data() + row * dim_;
    double* HWY_RESTRICT shared = parts_[4].data() + row * dim_;
    const double with_sign = std::copysign(error.own, factor);
    for (Index c = 0; c < dim_; ++c) {
      const double square = x[c] * x[c];
      sum[c] += factor * x[c];
      squares[c] += factor * factor * square;
      alike[c] += with_sign * x[c];
      own_squares[c] += error.own * error.own * square;
      shared[c] += error.shared * std::abs(x[c]);
    }
  }

  [[nodiscard]] double sum(Index row, Index c) const { return number(0, row, c); }

  [[nodiscard]] RoundingError of_terms(Index row, Index c) const {
    return {std::sqrt(number(3, row, c)) + std::abs(number(2, row, c)) / lambda, number(4, row, c)};
  }
  [[nodiscard]] RoundingError of_additions(Index row, Index c, const Roundings& roundings) const {
    const double reach = std::abs(sum(row, c)) + lambda * std::sqrt(number(1, row, c));
    return kernels::of_additions(counts_[static_cast<std::size_t>(row)], roundings, reach,
                                 besides_);
  }
  /// Of sums over some of the terms that are rounded before they are added, as if each term were:
  /// what they have at random adds up to the same, however many there are. `least`: absolute, of
  /// one of them.
  [[nodiscard]] RoundingError of_parts(Index row, Index c, double partial, double least) const {
    const double terms = std::sqrt(number(1, row, c)) + std::abs(sum(row, c)) / lambda;
    const auto count = static_cast<double>(counts_[static_cast<std::size_t>(row)]);
    return {partial * terms + least * std::sqrt(count), 0};
  }
  /// Of terms and additions.
  [[nodiscard]] RoundingError error(Index row, Index c, const Roundings& roundings) const {
    return of_terms(row, c) + of_additions(row, c, roundings);
  }

 private:
  [[nodiscard]] double number(std::size_t part, Index row, Index c) const {
    return parts_[part][static_cast<std::size_t>(row * dim_ + c)];
  }

  Index dim_;
  Index besides_;
  std::vector<Index> counts_;
  std::array<std::vector<double>, 5> parts_;
};

}  // namespace annulus::kernels
