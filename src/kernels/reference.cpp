#include "annulus/kernels/reference.hpp"

#include <cmath>
#include <type_traits>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/dense_copy.hpp"

namespace annulus::kernels {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

struct Row {
  SoftmaxState<double> state;
  double self_logit = minus_infinity;
};

double dot(const double* a, const double* b, Index size) {
  double sum = 0;
  for (Index c = 0; c < size; ++c) sum += a[c] * b[c];
  return sum;
}

class ReferenceForward final : public ForwardPass {
 public:
  ReferenceForward(const Queries& queries, const PassOptions& options)
      : q_(copy_dense(queries.q)),
        scale_(queries.scale.begin(), queries.scale.end()),
        rows_(static_cast<std::size_t>(queries.q.rows * queries.q.heads)),
        values_(rows_.size() * static_cast<std::size_t>(options.value_dim)),
        options_(options) {
    ensure(scale_.size() == rows_.size(), "one scale per query row and head");
    for (std::size_t at = 0; !queries.sink.empty() && at < rows_.size(); ++at) {
      const double sink = queries.sink[at % queries.sink.size()];
      if (sink != minus_infinity) rows_[at].state = SoftmaxState<double>::of_key(sink);
    }
  }

  void accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                  const Poll& poll) override {
    ensure(k.heads == options_.key_heads && v.heads == options_.key_heads && k.dim == q_.dim &&
               v.dim == options_.value_dim && k.rows == v.rows,
           "keys and values have the shapes of the pass");
    const auto keys = copy_dense(k);
    const auto values = copy_dense(v);
    for (const auto& block : blocks) {
      for (Index i = 0; i < block.queries.count; ++i) {
        for (Index h = 0; h < q_.heads; ++h) accumulate_row(keys, values, block, i, h);
        if (poll) poll();
      }
    }
  }

  void finish(const ForwardOutputs& outputs) override {
    with_accumulator(outputs.out.type, [&]<class T>() {
      for_each_state([&](Index i, Index h, const Row& row, std::span<const double> values) {
        write_row<T>(outputs, i, h, row.state, row.self_logit, values);
      });
    });
  }

  void write_state(TensorView state) const override {
    with_accumulator(state.type, [&]<class T>() {
      for_each_state([&](Index i, Index h, const Row& row, std::span<const double> values) {
        store_state(state.row<T>(i, h), row.state, row.self_logit, values);
      });
    });
  }

 private:
  /// The state of the keys of one block alone, merged into the row's.
  void accumulate_row(const DenseCopy& keys, const DenseCopy& values, const Block& block, Index i,
                      Index h) {
    const auto visible = block.visible(i);
    if (visible.empty()) return;
    const Index key_head = h / (q_.heads / options_.key_heads);
    const auto at = static_cast<std::size_t>((block.queries.row + i) * q_.heads + h);
    logits_.resize(static_cast<std::size_t>(visible.size()));
    SoftmaxState<double> state;
    for (Index j = visible.begin; j < visible.end; ++j) {
      const double z = scale_[at] * dot(q_.row(block.queries.row + i, h),
                                        keys.row(block.keys.row + j, key_head), q_.dim);
      logits_[static_cast<std::size_t>(j - visible.begin)] = z;
      state.maximum = std::max(state.maximum, z);
    }
    if (const Index self = block.self_key(i); visible.contains(self)) {
      rows_[at].self_logit = logits_[static_cast<std::size_t>(self - visible.begin)];
    }
    sum_.assign(static_cast<std::size_t>(options_.value_dim), 0.0);
    for (Index j = visible.begin; j < visible.end; ++j) {
      const double shifted = logits_[static_cast<std::size_t>(j - visible.begin)] - state.maximum;
      const double weight = std::exp(shifted);
      state.sum += weight;
      state.moment += weight * shifted;
      state.squares += weight * weight;
      const double* value = values.row(block.keys.row + j, key_head);
      for (std::size_t c = 0; c < sum_.size(); ++c) sum_[c] += weight * value[c];
    }
    merge(rows_[at].state, std::span(values_).subspan(at * sum_.size(), sum_.size()), state,
          std::span<const double>(sum_));
  }

  template <class Visit>
  void for_each_state(Visit visit) const {
    const auto width = static_cast<std::size_t>(options_.value_dim);
    for (std::size_t at = 0; at < rows_.size(); ++at) {
      const auto i = static_cast<Index>(at);
      visit(i / q_.heads, i % q_.heads, rows_[at], std::span(values_).subspan(at * width, width));
    }
  }

  DenseCopy q_;
  std::vector<double> scale_;
  std::vector<Row> rows_;       // (rows, H)
  std::vector<double> values_;  // (rows, H, d_v): Sum e^(z-m) v
  PassOptions options_;
  std::vector<double> logits_;  // of one row and block
  std::vector<double> sum_;
};

/// Calls `write(to, from, count)` for each row and head of `view`, in its own type.
template <class Write>
void for_each_row(TensorView view, Write write) {
  with_accumulator(view.type, [&]<class T>() {
    for (Index i = 0; i < view.rows; ++i) {
      for (Index h = 0; h < view.heads; ++h) write(view.row<T>(i, h), i, h);
    }
  });
}

class ReferenceBackward final : public BackwardPass {
 public:
  ReferenceBackward(const BackwardQueries& queries, const PassOptions& options)
      : q_(copy_dense(queries.q)),
        dout_(copy_dense(queries.dout)),
        lse_(copy_dense(queries.lse)),
        scale_(queries.scale.begin(), queries.scale.end()),
        mean_(queries.mean.begin(), queries.mean.end()),
        sums_(q_.values.size()),
        options_(options) {
    const auto rows = static_cast<std::size_t>(queries.q.rows * queries.q.heads);
    ensure(scale_.size() == rows && mean_.size() == rows && lse_.values.size() == rows,
           "one scale, mean and lse per query row and head");
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

  void finish(TensorView dq, std::span<double> dscale) override {
    for_each_row(dq, [&](auto* to, Index i, Index h) {
      const auto at = static_cast<std::size_t>(i * q_.heads + h);
      const double* sum = sums_.data() + static_cast<Index>(at) * q_.dim;
      for (Index c = 0; c < q_.dim; ++c) {
        to[c] = static_cast<std::remove_pointer_t<decltype(to)>>(scale_[at] * sum[c]);
      }
      dscale[at] = dot(q_.row(i, h), sum, q_.dim);
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
      const double p = std::exp(scale_[at] * dot(q, k, q_.dim) - *lse_.row(row, h));
      const double dz = p * (dot(dout, values.row(key, key_head), options_.value_dim) - mean_[at]);
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
  std::vector<double> scale_;
  std::vector<double> mean_;
  std::vector<double> sums_;  // (rows, H, d): Sum_j dz k_j
  PassOptions options_;
};

class Reference final : public Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] bool supports(DataType) const override { return true; }
  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override {
    return std::make_unique<ReferenceForward>(queries, options);
  }
  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override {
    return std::make_unique<ReferenceBackward>(queries, options);
  }
};

}  // namespace

const Kernel& reference() {
  static const Reference kernel;
  return kernel;
}

}  // namespace annulus::kernels
