#include "annulus/kernels/reference.hpp"

#include <cmath>
#include <vector>

#include "annulus/attention/softmax_state.hpp"
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

  void finish(TensorView out, TensorView lse, const StatisticsView& statistics) override {
    if (out.type == DataType::float64) {
      write<double>(out, lse, statistics);
    } else {
      write<float>(out, lse, statistics);
    }
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

  template <class T>
  void write(TensorView out, TensorView lse, const StatisticsView& statistics) const {
    for (Index i = 0; i < out.rows; ++i) {
      for (Index h = 0; h < out.heads; ++h) {
        const auto at = static_cast<std::size_t>(i * q_.heads + h);
        const auto& row = rows_[at];
        const double* values = values_.data() + at * static_cast<std::size_t>(options_.value_dim);
        T* to = out.row<T>(i, h);
        for (Index c = 0; c < options_.value_dim; ++c) {
          to[c] = row.state.empty() ? T{0} : static_cast<T>(values[c] / row.state.sum);
        }
        if (lse.present()) *lse.row<T>(i, h) = static_cast<T>(row.state.lse());
        if (statistics.present()) {
          const auto all = statistics_of(row.state, row.self_logit);
          write_statistics(
              statistics, i, h,
              RowStatistics<T>{.entropy = static_cast<T>(all.entropy),
                               .effective_keys = static_cast<T>(all.effective_keys),
                               .participation = static_cast<T>(all.participation),
                               .max_probability = static_cast<T>(all.max_probability),
                               .max_logit = static_cast<T>(all.max_logit),
                               .self_probability = static_cast<T>(all.self_probability)});
        }
      }
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

class Reference final : public Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] bool supports(DataType type) const override {
    return type == DataType::float64 || type == DataType::float32;
  }
  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override {
    return std::make_unique<ReferenceForward>(queries, options);
  }
};

}  // namespace

const Kernel& reference() {
  static const Reference kernel;
  return kernel;
}

}  // namespace annulus::kernels
