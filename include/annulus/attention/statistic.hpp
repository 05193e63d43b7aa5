#pragma once
// What a statistic of a row of attention probabilities p is: how it follows from what kernels keep,
// and from the definition. Plain values, for code that is compiled for GPUs too.

#include <limits>
#include <span>

namespace annulus {

/// A row whose keys have all been seen, see SoftmaxState.
template <class T>
struct FinishedRow {
  T maximum;     ///< m
  T sum;         ///< l
  T moment;      ///< s
  T squares;     ///< u
  T self_logit;  ///< at the query's own position; -inf where that is not a visible key
  T log_sum;     ///< ln l, which several statistics ask for
  T lse;         ///< m + ln l

  [[nodiscard]] constexpr bool empty() const {
    return maximum == -std::numeric_limits<T>::infinity() && sum == 0;
  }
};

/// A key that a row sees, or its sink, which counts as one.
struct KeyProbability {
  double z;  ///< logit
  double p;
  double log_p;      ///< ln p
  double error = 0;  ///< the most that rounding makes of e^(z - m), relative
};

/// The probabilities of a row that sees something, in fp64.
struct Probabilities {
  std::span<const KeyProbability> keys;
  const KeyProbability* self;  ///< of the query's own position; null where that is not visible
  double maximum;              ///< m
  double lse;
};

/// The most that rounding makes of sums over the keys of a row.
struct RowRoundings {
  double unit;       ///< unit roundoff u of the type that is computed in
  double additions;  ///< of sums of e^(z - m) alone, relative
  double division;   ///< of a division by such a sum, relative
  double lse;        ///< of lse as it is stored, absolute
  double least;      ///< of a number that is too small to be normal, absolute
};

/// One number for each row.
struct Statistic {
  const char* name;
  const char* description;
  double of_nothing;  ///< where a row sees nothing
  /// From what kernels keep, in either type that they keep it in.
  float (*of_float_row)(const FinishedRow<float>& row);
  double (*of_double_row)(const FinishedRow<double>& row);
  /// From the definition, and how far from it rounding may be.
  double (*of_probabilities)(const Probabilities& row);
  double (*bound)(const Probabilities& row, const RowRoundings& roundings);

  [[nodiscard]] float of(const FinishedRow<float>& row) const {
    return row.empty() ? static_cast<float>(of_nothing) : of_float_row(row);
  }
  [[nodiscard]] double of(const FinishedRow<double>& row) const {
    return row.empty() ? of_nothing : of_double_row(row);
  }
};

}  // namespace annulus
