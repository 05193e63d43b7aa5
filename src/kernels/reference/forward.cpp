#include <cmath>
#include <limits>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/reference/passes.hpp"

namespace annulus::kernels {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

struct Row {
  SoftmaxState<double> softmax;
  double self_logit = minus_infinity;
};

class ReferenceForward final : public ForwardPass {
 public:
  ReferenceForward(const Queries& queries, const PassOptions& options)
      : q_(copy_dense(queries.q)),
        scale_(all_scales(queries.scale, queries.q)),
        rows_(static_cast<std::size_t>(queries.q.rows * queries.q.heads)),
        values_(rows_.size() * static_cast<std::size_t>(options.value_dim)),
        options_(options) {
    for (std::size_t at = 0; !queries.sink.empty() && at < rows_.size(); ++at) {
      rows_[at].softmax = SoftmaxState<double>::of_key(queries.sink[at % queries.sink.size()]);
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
        write_row<T>(outputs, i, h, row.softmax, row.self_logit, values);
      });
    });
  }

  void write_state(TensorView state) const override {
    with_accumulator(state.type, [&]<class T>() {
      for_each_state([&](Index i, Index h, const Row& row, std::span<const double> values) {
        store_state(state.row<T>(i, h), row.softmax, row.self_logit, values);
      });
    });
  }

  void merge(ConstTensorView state, Index first_head) override {
    ensure(state.rows * q_.heads == std::ssize(rows_) &&
               state.dim == state_width(options_.value_dim) && first_head >= 0 &&
               first_head + state.heads <= q_.heads,
           "a state of rows and heads of the pass is merged");
    auto states = copy_dense(state);
    for (Index i = 0; i < state.rows; ++i) {
      for (Index h = 0; h < state.heads; ++h) {
        double* const stored = states.values.data() + (i * state.heads + h) * state.dim;
        merge_into(static_cast<std::size_t>(i * q_.heads + first_head + h),
                   load_state(stored, options_.value_dim));
      }
    }
  }

 private:
  /// Merges a state into that of a row and head.
  void merge_into(std::size_t at, const PartialState<double>& state) {
    const auto width = static_cast<std::size_t>(options_.value_dim);
    auto& row = rows_[at];
    annulus::merge(row.softmax, std::span(values_).subspan(at * width, width), state.softmax,
                   std::span<const double>(state.values));
    row.self_logit = std::max(row.self_logit, state.self_logit);
  }

  /// The state of the keys of one block alone, merged into the row's.
  void accumulate_row(const DenseCopy& keys, const DenseCopy& values, const Block& block, Index i,
                      Index h) {
    const auto visible = block.visible(i);
    if (visible.empty()) return;
    const Index key_head = h / (q_.heads / options_.key_heads);
    const auto at = static_cast<std::size_t>((block.queries.row + i) * q_.heads + h);
    logits_.resize(static_cast<std::size_t>(visible.size()));
    sum_.assign(static_cast<std::size_t>(options_.value_dim), 0.0);
    PartialState<double> state{.values = sum_};
    auto& softmax = state.softmax;
    for (Index j = visible.begin; j < visible.end; ++j) {
      const double z = scale_[at] * reference_dot(q_.row(block.queries.row + i, h),
                                                  keys.row(block.keys.row + j, key_head), q_.dim);
      logits_[static_cast<std::size_t>(j - visible.begin)] = z;
      softmax.maximum = std::max(softmax.maximum, z);
    }
    if (const Index self = block.self_key(i); visible.contains(self)) {
      state.self_logit = logits_[static_cast<std::size_t>(self - visible.begin)];
    }
    // Where all logits are -inf, or not numbers, there is none to subtract.
    const double centre = softmax.maximum == minus_infinity ? 0 : softmax.maximum;
    for (Index j = visible.begin; j < visible.end; ++j) {
      const double shifted = logits_[static_cast<std::size_t>(j - visible.begin)] - centre;
      const double weight = std::exp(shifted);
      softmax.sum += weight;
      softmax.moment += weight == 0 ? 0 : weight * shifted;  // the difference may be -inf
      softmax.squares += weight * weight;
      const double* value = values.row(block.keys.row + j, key_head);
      for (std::size_t c = 0; c < sum_.size(); ++c) sum_[c] += weight * value[c];
    }
    merge_into(at, state);
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

}  // namespace

std::unique_ptr<ForwardPass> reference_forward(const Queries& queries, const PassOptions& options) {
  return std::make_unique<ReferenceForward>(queries, options);
}

}  // namespace annulus::kernels
