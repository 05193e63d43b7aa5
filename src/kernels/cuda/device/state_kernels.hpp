#pragma once
// The beginning and the end of a pass: one warp for each row and head, or numbers one by one.

#include <cmath>
#include <limits>

#include "attention/statistics/list.hpp"
#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/device/softmax.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// What the kernels of this file have in common: block_y is the head.
struct RowKernel {
  static constexpr int rows = 4;  ///< of a thread block, one for each warp
  static constexpr int threads = rows * warp_lanes;
  static constexpr int shared_bytes = 0;

  /// Calls visit(at) with the place of this warp's row and head in a table (rows, heads).
  template <class Visit>
  ANNULUS_DEVICE static void with_row(int all_rows, int heads, Visit visit) {
    const Index row = static_cast<Index>(block_x()) * rows + warp_index();
    if (row < all_rows) visit(row * heads + block_y());
  }

  ANNULUS_DEVICE static float sum_of_warp(float sum) {
    for (int mask = 1; mask < warp_lanes; mask *= 2) sum += shuffle_xor(sum, mask);
    return sum;
  }

  /// Maximum and sum of a row.
  struct Scale {
    float maximum;
    double sum;
  };

  /// Those of a row of this head that has seen nothing but its sink, if there is one.
  [[nodiscard]] ANNULUS_DEVICE static Scale beginning(const float* sink) {
    const float logit = sink == nullptr ? minus_infinity : sink[block_y()];
    return {logit, logit == minus_infinity ? 0.0 : 1.0};
  }
};

struct StartKernel : RowKernel {
  using Arguments = StartArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        a.state.values[at * a.value_dim + c] = 0;
      }
      if (lane_index() != 0) return;
      const auto scale = beginning(a.sink);
      a.state.maximum[at] = scale.maximum;
      a.state.sum[at] = scale.sum;
      if (a.state.moment == nullptr) return;
      a.state.moment[at] = 0;
      a.state.squares[at] = scale.sum;
      a.state.self_logit[at] = minus_infinity;
    });
  }
};

/// What kernels that merge have in common.
struct MergingKernel : RowKernel {
  /// What brings both sides to the larger of their maxima.
  struct Rises {
    MaximumRise own;
    MaximumRise other;
  };

  /// A number of a part; those that are not fp64 become fp32 first.
  template <class T>
  [[nodiscard]] ANNULUS_DEVICE static double widened(T value) {
    return static_cast<double>(static_cast<float>(value));
  }
  [[nodiscard]] ANNULUS_DEVICE static double widened(double value) { return value; }

  /// Merges maximum, sum and values, the last (d_v) of type T, into those of row and head `own`.
  /// A side that is empty adds nothing.
  template <class T>
  ANNULUS_DEVICE static Rises merge(const DeviceState& state, Index own, float maximum, double sum,
                                    const T* values, int value_dim) {
    // The first lane alone reads what it writes below.
    const float before = shuffle(lane_index() == 0 ? state.maximum[own] : 0.0F, 0);
    const float larger = fmaxf(before, maximum);
    const Rises rises{MaximumRise::of(before, larger), MaximumRise::of(maximum, larger)};
    const auto kept = static_cast<double>(rises.own.factor);
    const auto added = static_cast<double>(rises.other.factor);
    double* own_values = state.values + own * value_dim;
    for (int c = lane_index(); c < value_dim; c += warp_lanes) {
      own_values[c] = own_values[c] * kept + widened(values[c]) * added;
    }
    if (lane_index() == 0) {
      state.maximum[own] = larger;
      state.sum[own] = state.sum[own] * kept + sum * added;
    }
    return rises;
  }

  /// Numbers of a whole state, but for its values.
  struct Scalars {
    float maximum;
    double sum;
    double moment;
    double squares;
    float self_logit;
  };

  /// The same for a whole state: with statistics, where the states have them.
  template <class T>
  ANNULUS_DEVICE static void merge_state(const DeviceState& state, Index own, const Scalars& more,
                                         const T* values, int value_dim) {
    const double sum = lane_index() == 0 ? state.sum[own] : 0.0;
    const auto rises = merge(state, own, more.maximum, more.sum, values, value_dim);
    if (lane_index() != 0 || state.moment == nullptr) return;
    const auto kept = static_cast<double>(rises.own.factor);
    const auto added = static_cast<double>(rises.other.factor);
    const auto own_shift = static_cast<double>(rises.own.shift);
    const auto shift = static_cast<double>(rises.other.shift);
    double& moment = state.moment[own];
    moment = kept * (moment + sum * own_shift) + added * (more.moment + more.sum * shift);
    double& squares = state.squares[own];
    squares = squares * kept * kept + more.squares * added * added;
    float& self_logit = state.self_logit[own];
    self_logit = fmaxf(self_logit, more.self_logit);
  }
};

struct MergeStatesKernel : MergingKernel {
  using Arguments = MergeStatesArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const Index row = at / a.heads;
      const float* from = a.from.data + row * a.from.row_stride + block_y() * a.from.head_stride;
      const Index own = row * a.all_heads + a.first_head + block_y();
      merge_state(a.state, own,
                  {.maximum = from[0],
                   .sum = widened(from[1]),
                   .moment = widened(from[2]),
                   .squares = widened(from[3]),
                   .self_logit = from[4]},
                  from + stored_scalars, a.value_dim);
    });
  }
};

/// block_x is the tile, whose rows the warps take in turns.
struct MergePartsKernel : MergingKernel {
  using Arguments = MergePartsArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const TileParts tile = a.tiles[block_x()];
    for (int row = warp_index(); row < tile.rows; row += rows) {
      const Index own = static_cast<Index>(tile.row + row) * a.heads + block_y();
      for (int part = 0; part < tile.parts; ++part) {
        const Index at =
            static_cast<Index>(tile.state_row + part * tile.rows + row) * a.heads + block_y();
        const bool statistics = a.state.moment != nullptr;
        merge_state(a.state, own,
                    {.maximum = a.parts.maximum[at],
                     .sum = a.parts.sum[at],
                     .moment = statistics ? a.parts.moment[at] : 0.0,
                     .squares = statistics ? a.parts.squares[at] : 0.0,
                     .self_logit = statistics ? a.parts.self_logit[at] : minus_infinity},
                    a.parts.values + at * a.value_dim, a.value_dim);
      }
    }
  }
};

/// The order of the numbers is that of store_state; without statistics there is nothing of them.
struct WriteStatesKernel : RowKernel {
  using Arguments = WriteStatesArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      float* to = a.to.data + at / a.heads * a.to.row_stride + block_y() * a.to.head_stride;
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        to[stored_scalars + c] = static_cast<float>(a.state.values[at * a.value_dim + c]);
      }
      if (lane_index() != 0) return;
      const bool statistics = a.state.moment != nullptr;
      to[0] = a.state.maximum[at];
      to[1] = static_cast<float>(a.state.sum[at]);
      to[2] = statistics ? static_cast<float>(a.state.moment[at]) : 0.0F;
      to[3] = statistics ? static_cast<float>(a.state.squares[at]) : 0.0F;
      to[4] = statistics ? a.state.self_logit[at] : minus_infinity;
    });
  }
};

/// What kernels that write outputs have in common.
struct FinishingKernel : RowKernel {
  /// Writes out, lse and lse_low, of which only out need be there, of a row whose O is value(c).
  /// Returns ln l, or 0 where the row saw nothing.
  template <class Arguments, class Value>
  ANNULUS_DEVICE static double write(const Arguments& a, Index at, const Scale& scale,
                                     Value value) {
    const bool empty = scale.maximum == minus_infinity && scale.sum == 0;
    const double share = empty ? 0.0 : 1 / scale.sum;
    for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
      a.out[at * a.value_dim + c] = static_cast<float>(value(c) * share);
    }
    const auto maximum = static_cast<double>(scale.maximum);
    const double log_sum = empty ? 0.0 : log(scale.sum);
    const auto lse = static_cast<float>(maximum + log_sum);
    if (lane_index() == 0 && a.lse != nullptr) a.lse[at] = lse;
    if (lane_index() == 0 && a.lse_low != nullptr) {
      a.lse_low[at] =
          empty ? 0.0F : static_cast<float>((maximum - static_cast<double>(lse)) + log_sum);
    }
    return log_sum;
  }
};

struct FinishKernel : FinishingKernel {
  using Arguments = FinishArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const double* values = a.state.values + at * a.value_dim;
      const double log_sum = write(a, at, {.maximum = a.state.maximum[at], .sum = a.state.sum[at]},
                                   [&](int c) { return values[c]; });
      if (lane_index() != 0 || a.statistics == nullptr) return;
      write_statistics(statistics::All{}, a, at,
                       {.maximum = static_cast<double>(a.state.maximum[at]),
                        .sum = a.state.sum[at],
                        .moment = a.state.moment[at],
                        .squares = a.state.squares[at],
                        .self_logit = static_cast<double>(a.state.self_logit[at]),
                        .log_sum = log_sum,
                        .lse = static_cast<double>(a.state.maximum[at]) + log_sum});
    });
  }

  template <class... S>
  ANNULUS_DEVICE static void write_statistics(statistics::List<S...> /*all*/, const Arguments& a,
                                              Index at, const FinishedRow<double>& row) {
    float* const* table = a.statistics;
    (write_statistic<S>(*table++, at, row), ...);
  }

  template <class S>
  ANNULUS_DEVICE static void write_statistic(float* table, Index at,
                                             const FinishedRow<double>& row) {
    if (table == nullptr) return;
    table[at] = static_cast<float>(row.empty() ? S::of_nothing : S::of(row));
  }
};

/// T: element type of q.
template <class T>
struct FinishQueryGradientsKernel : RowKernel {
  using Arguments = QueryGradientArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const Index row = at / a.heads;
      const auto* q =
          static_cast<const T*>(a.q.data) + row * a.q.row_stride + block_y() * a.q.head_stride;
      const float scale = a.scale[at];
      float dot = 0;
      for (int c = lane_index(); c < a.q.dim; c += warp_lanes) {
        const Index element = at * a.q.dim + c;
        const auto sum = static_cast<float>(a.query_sums[element]);
        dot += static_cast<float>(q[c]) * sum;
        a.dq[element] = scale * sum;
      }
      dot = sum_of_warp(dot);
      if (lane_index() == 0 && a.dscale != nullptr) a.dscale[at] = dot;
    });
  }
};

/// T: element type of dout.
template <class T>
struct MeanKernel : RowKernel {
  using Arguments = MeanArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const Index row = at / a.heads;
      const auto* dout = static_cast<const T*>(a.dout.data) + row * a.dout.row_stride +
                         block_y() * a.dout.head_stride;
      float dot = 0;
      for (int c = lane_index(); c < a.dout.dim; c += warp_lanes) {
        dot += static_cast<float>(dout[c]) * a.out[at * a.dout.dim + c];
      }
      dot = sum_of_warp(dot);
      if (lane_index() == 0) a.mean[at] = dot;
    });
  }
};

/// Numbers one by one.
struct NumberKernel {
  static constexpr int threads = 256;
  static constexpr int shared_bytes = 0;
  static constexpr int numbers = 4;  ///< of a thread
  static constexpr Index block_numbers = threads * numbers;

  /// Calls visit(at) for those of this thread.
  template <class Visit>
  ANNULUS_DEVICE static void with_numbers(Index count, Visit visit) {
    const Index first = block_x() * block_numbers + thread_index();
    ANNULUS_UNROLL
    for (int i = 0; i < numbers; ++i) {
      const Index at = first + i * threads;
      if (at < count) visit(at);
    }
  }
};

struct AddKernel : NumberKernel {
  using Arguments = AddArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_numbers(a.count, [&](Index at) { a.sums[at] += a.factor * a.more[at]; });
  }
};

struct QueryNumbersKernel : NumberKernel {
  using Arguments = QueryNumbersArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_numbers(static_cast<Index>(a.rows) * a.heads, [&](Index at) {
      const float lse = a.lse[at];
      float* const to = a.queries + at * query_numbers;
      to[0] = a.scale[at];
      // A row that sees nothing has logits of -inf alone, from which -inf must not be subtracted.
      to[1] = lse == minus_infinity ? std::numeric_limits<float>::lowest() : lse;
      to[2] = a.lse_low == nullptr ? 0.0F : a.lse_low[at] * log2_e;
      to[3] = -a.mean[at];
    });
  }
};

struct ScaleTableKernel : NumberKernel {
  using Arguments = ScaleTableArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_numbers(static_cast<Index>(a.rows) * a.heads, [&](Index at) {
      const Index head = at % a.heads;
      const double number = a.row_numbers[at / a.heads * a.row_stride + head * a.head_stride];
      a.scale[at] = static_cast<float>(a.head_factors[head] * number);
    });
  }
};

}  // namespace annulus::kernels::gpu
