#pragma once
// The beginning and the end of a pass: one warp for each row and head, or numbers one by one.

#include <cmath>

#include "attention/statistics/list.hpp"
#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/own_rows.hpp"

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
};

struct StartKernel : RowKernel {
  using Arguments = StartArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        a.state.values[at * a.value_dim + c] = 0;
      }
      if (lane_index() != 0) return;
      const float sink = a.sink == nullptr ? minus_infinity : a.sink[block_y()];
      const double keys = sink == minus_infinity ? 0 : 1;
      a.state.maximum[at] = sink;
      a.state.sum[at] = keys;
      if (a.state.moment == nullptr) return;
      a.state.moment[at] = 0;
      a.state.squares[at] = keys;
      a.state.self_logit[at] = minus_infinity;
    });
  }
};

/// A part that has been divided by its sum is the state m = lse, l = 1, O = out.
/// T: element type of `out`.
template <class T>
struct MergeKernel : RowKernel {
  using Arguments = MergeArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const float lse = a.lse[static_cast<Index>(block_y()) * a.rows + at / a.heads];
      const Index own = a.first * a.heads + at;
      // What is empty on both sides stays so: -inf - -inf is never formed.
      if (lse == minus_infinity) return;
      // The first lane alone reads what it writes below.
      const float before = shuffle(lane_index() == 0 ? a.state.maximum[own] : 0.0F, 0);
      const float maximum = fmaxf(before, lse);
      const auto kept = static_cast<double>(expf(before - maximum));
      const auto added = static_cast<double>(expf(lse - maximum));
      const auto* out = static_cast<const T*>(a.out) + at * a.value_dim;
      double* values = a.state.values + own * a.value_dim;
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        values[c] = values[c] * kept + static_cast<double>(static_cast<float>(out[c])) * added;
      }
      if (lane_index() != 0) return;
      a.state.maximum[own] = maximum;
      a.state.sum[own] = a.state.sum[own] * kept + added;
    });
  }
};

struct FinishKernel : RowKernel {
  using Arguments = FinishArguments;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    with_row(a.rows, a.heads, [&](Index at) {
      const bool empty = a.state.maximum[at] == minus_infinity;
      const double share = empty ? 0.0 : 1 / a.state.sum[at];
      for (int c = lane_index(); c < a.value_dim; c += warp_lanes) {
        const Index element = at * a.value_dim + c;
        a.out[element] = static_cast<float>(a.state.values[element] * share);
      }
      if (lane_index() != 0) return;
      const auto maximum = static_cast<double>(a.state.maximum[at]);
      const double log_sum = empty ? 0.0 : log(a.state.sum[at]);
      const auto lse = static_cast<float>(maximum + log_sum);
      if (a.lse != nullptr) a.lse[at] = lse;
      if (a.lse_low != nullptr) {
        a.lse_low[at] =
            empty ? 0.0F : static_cast<float>((maximum - static_cast<double>(lse)) + log_sum);
      }
      if (a.statistics != nullptr) {
        write_statistics(statistics::All{}, a, at,
                         {.maximum = maximum,
                          .sum = a.state.sum[at],
                          .moment = a.state.moment[at],
                          .squares = a.state.squares[at],
                          .self_logit = static_cast<double>(a.state.self_logit[at]),
                          .lse = maximum + log_sum});
      }
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
      if (lane_index() == 0) a.dscale[at] = dot;
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

struct AddKernel {
  using Arguments = AddArguments;
  static constexpr int threads = 256;
  static constexpr int shared_bytes = 0;
  static constexpr int numbers = 4;  ///< of a thread
  static constexpr Index block_numbers = threads * numbers;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const Index first = block_x() * block_numbers + thread_index();
    ANNULUS_UNROLL
    for (int i = 0; i < numbers; ++i) {
      const Index at = first + i * threads;
      if (at < a.count) a.sums[at] += a.more[at];
    }
  }
};

}  // namespace annulus::kernels::gpu
