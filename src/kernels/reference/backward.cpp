#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/backward_rows.hpp"
#include "kernels/reference/passes.hpp"

namespace annulus::kernels {
namespace {

/// Calls `write(to, from, count)` for each row and head of `view`, in its own type.
template <class Write>
void for_each_row(TensorView view, Write write) {
  with_accumulator(view.type, [&]<class T>() {
    for (Index i = 0; i < view.rows; ++i) {
      for (Index h = 0; h < view.heads; ++h) write(view.row<T>(i, h), i, h);
    }
  });
}

DenseCopy zeros_like(DenseCopy copy) {
  std::ranges::fill(copy.values, 0.0);
  return copy;
}

std::vector<double> means_of(const BackwardQueries& queries) {
  check_means(queries);
  std::vector<double> means(static_cast<std::size_t>(queries.dout.rows * queries.dout.heads));
  for (Index i = 0; i < queries.dout.rows; ++i) {
    row_means(queries, i, means.data() + i * queries.dout.heads);
  }
  return means;
}

class ReferenceBackward final : public BackwardPass {
 public:
  ReferenceBackward(const BackwardQueries& queries, const PassOptions& options)
      : q_(copy_dense(queries.q)),
        dout_(copy_dense(queries.dout)),
        lse_(copy_dense(queries.lse)),
        lse_low_(queries.lse_low.present() ? copy_dense(queries.lse_low) : zeros_like(lse_)),
        scale_(all_scales(queries.scale, queries.q)),
        mean_(means_of(queries)),
        sums_(q_.values.size()),
        options_(options) {
    const auto rows = static_cast<std::size_t>(queries.q.rows * queries.q.heads);
    ensure(mean_.size() == rows && lse_.values.size() == rows && lse_low_.values.size() == rows,
           "one mean and lse per query row and head");
    ensure(queries.dout.has_shape(queries.q.rows, queries.q.heads, options.value_dim),
           "the gradient of the output has the shape of the pass");
  }

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  TensorView dk, TensorView dv, const Poll& poll) override {
    ensure(k.heads == options_.key_heads && v.heads == options_.key_heads && k.dim == q_.dim &&
               v.dim == options_.value_dim && k.rows == v.rows &&
               dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
           "keys, values and their gradients have the shapes of the pass");
    const auto keys = copy_dense(k);
    const auto values = copy_dense(v);
    // One rounding for each call: sums over the pairs of the blocks are fp64.
    std::vector<double> key_sums(keys.values.size());
    std::vector<double> value_sums(values.values.size());
    for (const auto& block : blocks) {
      for (Index i = 0; i < block.queries.count; ++i) {
        for (Index h = 0; h < q_.heads; ++h) {
          accumulate_row(keys, values, block, i, h, key_sums, value_sums);
        }
        if (poll) poll();
      }
    }
    add_to(dk, key_sums);
    add_to(dv, value_sums);
  }

  void write_mean(TensorView mean) const override { write_means(mean, mean_); }

  void finish(TensorView dq, TensorView dscale) override {
    for_each_row(dq, [&](auto* to, Index i, Index h) {
      const auto at = static_cast<std::size_t>(i * q_.heads + h);
      const double* sum = sums_.data() + static_cast<Index>(at) * q_.dim;
      for (Index c = 0; c < q_.dim; ++c) {
        to[c] = static_cast<std::remove_pointer_t<decltype(to)>>(scale_[at] * sum[c]);
      }
    });
    if (!dscale.present()) return;
    for_each_row(dscale, [&](auto* to, Index i, Index h) {
      const double* sum = sums_.data() + (i * q_.heads + h) * q_.dim;
      *to = static_cast<std::remove_pointer_t<decltype(to)>>(
          reference_dot(q_.row(i, h), sum, q_.dim));
    });
  }

 private:
  void accumulate_row(const DenseCopy& keys, const DenseCopy& values, const Block& block, Index i,
                      Index h, std::vector<double>& key_sums, std::vector<double>& value_sums) {
    const Index row = block.queries.row + i;
    const Index key_head = h / (q_.heads / options_.key_heads);
    const auto at = static_cast<std::size_t>(row * q_.heads + h);
    const double* q = q_.row(row, h);
    const double* dout = dout_.row(row, h);
    const auto visible = block.visible(i);
    for (Index j = visible.begin; j < visible.end; ++j) {
      const Index key = block.keys.row + j;
      const double* k = keys.row(key, key_head);
      const double z = scale_[at] * reference_dot(q, k, q_.dim);
      const double p = std::exp((z - *lse_.row(row, h)) - *lse_low_.row(row, h));
      const double dz =
          p * (reference_dot(dout, values.row(key, key_head), options_.value_dim) - mean_[at]);
      const Index to = key * options_.key_heads + key_head;
      double* key_sum = key_sums.data() + to * q_.dim;
      double* value_sum = value_sums.data() + to * options_.value_dim;
      double* sum = sums_.data() + static_cast<Index>(at) * q_.dim;
      for (Index c = 0; c < q_.dim; ++c) {
        sum[c] += dz * k[c];
        key_sum[c] += scale_[at] * dz * q[c];
      }
      for (Index c = 0; c < options_.value_dim; ++c) value_sum[c] += p * dout[c];
    }
  }

  static void add_to(TensorView view, const std::vector<double>& sums) {
    for_each_row(view, [&](auto* to, Index i, Index h) {
      using T = std::remove_pointer_t<decltype(to)>;
      const double* from = sums.data() + (i * view.heads + h) * view.dim;
      for (Index c = 0; c < view.dim; ++c) {
        to[c] = static_cast<T>(static_cast<double>(to[c]) + from[c]);
      }
    });
  }

  DenseCopy q_;
  DenseCopy dout_;
  DenseCopy lse_;
  DenseCopy lse_low_;
  std::vector<double> scale_;
  std::vector<double> mean_;
  std::vector<double> sums_;  // (rows, H, d): Sum_j dz k_j
  PassOptions options_;
};

}  // namespace

std::unique_ptr<BackwardPass> reference_backward(const BackwardQueries& queries,
                                                 const PassOptions& options) {
  return std::make_unique<ReferenceBackward>(queries, options);
}

}  // namespace annulus::kernels
