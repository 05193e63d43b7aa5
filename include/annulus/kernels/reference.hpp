#pragma once
// The oracle: fp64, plain loops.

#include <span>

#include "annulus/attention/problem.hpp"
#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// The reference backend. It reads fp64 or fp32, computes in fp64, and writes the accumulator type.
[[nodiscard]] const Kernel& reference();

/// The inputs of a whole problem in fp64; views as in Queries, spans may be empty.
struct WholeInputs {
  ConstTensorView q;              ///< (n_q, H, d)
  ConstTensorView k;              ///< (n_k, G, d)
  ConstTensorView v;              ///< (n_k, G, d_v)
  std::span<const double> gain;   ///< (H)
  std::span<const double> sink;   ///< (H)
  std::span<const double> table;  ///< (n_q, H), for the `table` logit scale
};

/// Attention straight from its definition: all logits of a row, then softmax in two passes. It
/// shares neither runs nor the online state with anything else, so that it can judge both.
/// Writes fp64 out (n_q, H, d_v), lse (n_q, H, 1), and statistics where present.
void direct_attention(const Problem& problem, const WholeInputs& inputs, TensorView out,
                      TensorView lse, const StatisticsView& statistics);

/// The gradients of a whole problem, fp64. Spans may be empty where they are not wanted.
struct WholeGradients {
  TensorView dq;              ///< (n_q, H, d)
  TensorView dk;              ///< (n_k, G, d)
  TensorView dv;              ///< (n_k, G, d_v)
  std::span<double> dgain{};  ///< (H)
  std::span<double> dsink{};  ///< (H)
};

/// The gradients of Sum <dout, out> straight from the definition, one probability at a time:
/// dv_j = Sum_i p_ij dout_i, dz_ij = p_ij (<dout_i, v_j> - <dout_i, out_i>), and from z_ij =
/// gain c beta_i <q_i, k_j> those of q, k and gain; of a sink, -Sum_i p_i,sink <dout_i, out_i>.
/// Overwrites `gradients`. dout is (n_q, H, d_v).
void direct_gradients(const Problem& problem, const WholeInputs& inputs, ConstTensorView dout,
                      const WholeGradients& gradients);

}  // namespace annulus::kernels
