#pragma once
// The state of a row as consecutive numbers: what travels where partial results of several ranks
// are merged, and what becomes of it at the end.

#include <algorithm>
#include <span>

#include "annulus/attention/softmax_state.hpp"
#include "annulus/attention/statistics.hpp"

namespace annulus {

/// The state of one row over some of its keys, and with it the logit of the query's own position,
/// -inf where that is not among them.
template <class T>
struct PartialState {
  SoftmaxState<T> softmax{};
  T self_logit = -std::numeric_limits<T>::infinity();
  std::span<T> values{};  ///< O = Sum e^(z-m) v, (d_v), borrowed
};

/// Numbers of a stored state: maximum, sum, moment, squares, self logit, and the d_v values.
[[nodiscard]] constexpr Index state_width(Index value_dim) {
  return 5 + value_dim;
}

/// Writes a state, whose numbers may be of another type, to state_width(d_v) numbers.
template <class T, class S>
void store_state(T* to, const SoftmaxState<S>& softmax, S self_logit, std::span<const S> values) {
  *to++ = static_cast<T>(softmax.maximum);
  *to++ = static_cast<T>(softmax.sum);
  *to++ = static_cast<T>(softmax.moment);
  *to++ = static_cast<T>(softmax.squares);
  *to++ = static_cast<T>(self_logit);
  for (const S value : values) *to++ = static_cast<T>(value);
}

/// The stored state at `from`; its values stay there.
template <class T>
[[nodiscard]] PartialState<T> load_state(T* from, Index value_dim) {
  return {.softmax = {from[0], from[1], from[2], from[3]},
          .self_logit = from[4],
          .values = {from + 5, static_cast<std::size_t>(value_dim)}};
}

/// left <- left merged with right, both stored.
template <class T>
void merge_stored(T* left, T* right, Index value_dim) {
  auto sum = load_state(left, value_dim);
  const auto more = load_state(right, value_dim);
  merge(sum.softmax, sum.values, more.softmax, std::span<const T>(more.values));
  sum.self_logit = std::max(sum.self_logit, more.self_logit);
  store_state(left, sum.softmax, sum.self_logit, std::span<const T>{});
}

/// Adds a sink: one more key with this logit and value 0, or nothing where it is -inf.
template <class T>
void add_sink(PartialState<T>& state, T sink) {
  const auto factor = merge(state.softmax, SoftmaxState<T>::of_key(sink));
  for (T& value : state.values) value *= factor.left;
}

/// What a forward pass writes: out (rows, H, d_v), lse (rows, H, 1), statistics (rows, H, 1) each.
/// All but out may be absent.
struct ForwardOutputs {
  TensorView out;
  TensorView lse{};
  StatisticsView statistics{};
  TensorView lse_low{};  ///< what rounding took from lse: lse + lse_low is ln Sum e^z; (rows, H, 1)
};

/// Writes what follows from the finished state of row i, head h, but for its output: ln Sum e^z in
/// one or two terms and the statistics; -inf and the statistics of nothing where the row saw
/// nothing. T is the type of the outputs.
template <class T, class S>
void write_row_numbers(const ForwardOutputs& to, Index i, Index h, const SoftmaxState<S>& softmax,
                       S self_logit) {
  const auto row = finished_row(softmax, self_logit);
  const T lse = static_cast<T>(row.lse);
  if (to.lse.present()) *to.lse.row<T>(i, h) = lse;
  if (to.lse_low.present()) {
    *to.lse_low.row<T>(i, h) = static_cast<T>(softmax.lse_beyond(static_cast<S>(lse)));
  }
  if (!to.statistics.present()) return;
  write_statistics<T>(to.statistics, i, h,
                      [&](const Statistic& statistic) { return statistic.of(row); });
}

/// The same and the output, O / l, or 0 where the row saw nothing.
template <class T, class S>
void write_row(const ForwardOutputs& to, Index i, Index h, const SoftmaxState<S>& softmax,
               S self_logit, std::span<const S> values) {
  T* out = to.out.row<T>(i, h);
  if (softmax.empty()) {
    std::fill_n(out, values.size(), T{0});
  } else if constexpr (sizeof(T) < sizeof(S)) {
    // One division: what it rounds is far below the digits of T.
    const S inverse = 1 / softmax.sum;
    for (const S value : values) *out++ = static_cast<T>(value * inverse);
  } else {
    for (const S value : values) *out++ = value / softmax.sum;
  }
  write_row_numbers<T>(to, i, h, softmax, self_logit);
}

}  // namespace annulus
