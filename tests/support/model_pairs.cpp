#include "support/model_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "annulus/base/half.hpp"
#include "support/model_device.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::InputRows;
using kernels::gpu::OutputRows;
using kernels::gpu::Pair;
using kernels::gpu::PairGradients;
using kernels::gpu::PairMask;
using kernels::gpu::PairOutputs;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void check_aligned(const void* data, Index row_stride, Index head_stride, int dim) {
  require(reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && row_stride % 8 == 0 &&
              head_stride % 8 == 0 && dim % 8 == 0,
          "rows that do not start at multiples of 16 bytes");
}

/// What cuDNN's kernels take without being asked to check it.
void check(const Pair& pair) {
  require(pair.queries > 0 && pair.keys > 0, "a pair without rows");
  require(pair.mask == PairMask::full || pair.queries == pair.keys, "a diagonal that is no square");
  require(pair.heads % pair.key_heads == 0, "heads");
  require(pair.scale > 0, "a scale");
  for (const auto* rows : {&pair.q, &pair.k, &pair.v}) {
    check_aligned(rows->data, rows->row_stride, rows->head_stride, rows->dim);
  }
}

void check(const Pair& pair, const PairGradients& gradients) {
  check(pair);
  require(pair.queries > 1 || pair.keys > 1, "gradients of one query and one key");
  for (const auto* rows : {&gradients.out, &gradients.dout}) {
    check_aligned(rows->data, rows->row_stride, rows->head_stride, rows->dim);
    require(rows->dim == pair.v.dim, "dimensions of out and dout");
  }
  for (const auto* rows : {&gradients.dq, &gradients.dk, &gradients.dv}) {
    check_aligned(rows->data, rows->row_stride, rows->dim, rows->dim);
  }
}

template <class T>
const T* row_of(const InputRows& rows, Index i, Index h) {
  return static_cast<const T*>(rows.data) + i * rows.row_stride + h * rows.head_stride;
}

template <class T>
double dot(const T* a, const T* b, int dim) {
  double sum = 0;
  for (int c = 0; c < dim; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  return sum;
}

template <class T>
double rounded(double number) {
  return static_cast<double>(T(number));
}

/// sum += factor * x
template <class T>
void add(std::vector<double>& sum, double factor, const T* x) {
  for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += factor * static_cast<double>(x[c]);
}

template <class T>
void write(const OutputRows& to, Index i, Index h, const std::vector<double>& row) {
  auto* data = static_cast<T*>(to.data) + i * to.row_stride + h * to.dim;
  for (const double number : row) *data++ = T(number);
}

Index visible_keys(const Pair& pair, Index i) {
  return pair.mask == PairMask::causal ? i + 1 : pair.keys;
}

template <class T>
class Definition {
 public:
  explicit Definition(const Pair& pair) : pair_(pair) {}

  void attend(const PairOutputs& outputs) const {
    const OutputRows out{outputs.out, Index{pair_.heads} * pair_.v.dim, pair_.v.dim};
    for (Index h = 0; h < pair_.heads; ++h) {
      for (Index i = 0; i < pair_.queries; ++i) {
        std::vector<double> logits;
        for (Index j = 0; j < visible_keys(pair_, i); ++j) logits.push_back(logit(i, h, j));
        const double maximum = *std::ranges::max_element(logits);
        double sum = 0;
        std::vector<double> row(static_cast<std::size_t>(pair_.v.dim));
        for (std::size_t j = 0; j < logits.size(); ++j) {
          const double weight = std::exp(logits[j] - maximum);
          sum += weight;
          add(row, rounded<T>(weight), value(static_cast<Index>(j), h));
        }
        for (double& number : row) number /= sum;
        write<T>(out, i, h, row);
        outputs.lse[h * pair_.queries + i] = static_cast<float>(maximum + std::log(sum));
      }
    }
  }

  void differentiate(const PairGradients& gradients) const {
    for (Index g = 0; g < pair_.key_heads; ++g) {
      auto dk = zeros(pair_.q.dim);
      auto dv = zeros(pair_.v.dim);
      for (Index h = g * group(); h < (g + 1) * group(); ++h) add_head(gradients, h, dk, dv);
      for (Index j = 0; j < pair_.keys; ++j) {
        write<T>(gradients.dk, j, g, dk[static_cast<std::size_t>(j)]);
        write<T>(gradients.dv, j, g, dv[static_cast<std::size_t>(j)]);
      }
    }
  }

 private:
  using Rows = std::vector<std::vector<double>>;

  [[nodiscard]] Index group() const { return pair_.heads / pair_.key_heads; }
  [[nodiscard]] const T* key(Index j, Index h) const { return row_of<T>(pair_.k, j, h / group()); }
  [[nodiscard]] const T* value(Index j, Index h) const {
    return row_of<T>(pair_.v, j, h / group());
  }
  [[nodiscard]] double logit(Index i, Index h, Index j) const {
    return pair_.scale * dot(row_of<T>(pair_.q, i, h), key(j, h), pair_.q.dim);
  }
  /// One row for each key.
  [[nodiscard]] Rows zeros(int dim) const {
    return Rows(static_cast<std::size_t>(pair_.keys),
                std::vector<double>(static_cast<std::size_t>(dim)));
  }

  /// Writes dq of a head and adds what it gives to those of its key head.
  void add_head(const PairGradients& gradients, Index h, Rows& dk, Rows& dv) const {
    auto dk_of_head = zeros(pair_.q.dim);
    auto dv_of_head = zeros(pair_.v.dim);
    for (Index i = 0; i < pair_.queries; ++i) {
      const auto* dout = row_of<T>(gradients.dout, i, h);
      const double mean = dot(dout, row_of<T>(gradients.out, i, h), pair_.v.dim);
      const auto lse = static_cast<double>(gradients.lse[h * pair_.queries + i]);
      require(std::isfinite(lse) || std::isnan(lse), "lse of a row that sees nothing");
      std::vector<double> dq(static_cast<std::size_t>(pair_.q.dim));
      for (Index j = 0; j < visible_keys(pair_, i); ++j) {
        const double p = std::exp(logit(i, h, j) - lse);
        const double dz = p * (dot(dout, value(j, h), pair_.v.dim) - mean);
        const double factor = rounded<T>(pair_.scale * dz);
        add(dq, factor, key(j, h));
        add(dk_of_head[static_cast<std::size_t>(j)], factor, row_of<T>(pair_.q, i, h));
        add(dv_of_head[static_cast<std::size_t>(j)], rounded<T>(p), dout);
      }
      write<T>(gradients.dq, i, h, dq);
    }
    const auto add_rows = [](Rows& sums, const Rows& more) {
      for (std::size_t j = 0; j < sums.size(); ++j) {
        for (std::size_t c = 0; c < sums[j].size(); ++c) sums[j][c] += rounded<T>(more[j][c]);
      }
    };
    add_rows(dk, dk_of_head);
    add_rows(dv, dv_of_head);
  }

  const Pair& pair_;
};

template <class Use>
void with_definition(const Pair& pair, Use use) {
  if (pair.type == DataType::bfloat16) return use(Definition<BFloat16>(pair));
  require(pair.type == DataType::float16, "a type of 16 bits");
  use(Definition<Float16>(pair));
}

class ModelPairAttention final : public kernels::gpu::PairAttention {
 public:
  explicit ModelPairAttention(std::shared_ptr<device::Stream> stream)
      : stream_(std::move(stream)) {}

  void forward(const Pair& pair, const PairOutputs& outputs) override {
    check(pair);
    dynamic_cast<ModelStream&>(*stream_).enqueue(
        [pair, outputs] { attend_by_definition(pair, outputs); });
  }

  void backward(const Pair& pair, const PairGradients& gradients) override {
    check(pair, gradients);
    dynamic_cast<ModelStream&>(*stream_).enqueue(
        [pair, gradients] { differentiate_by_definition(pair, gradients); });
  }

 private:
  std::shared_ptr<device::Stream> stream_;
};

}  // namespace

std::unique_ptr<kernels::gpu::PairAttention> ModelPairs::open(
    const std::shared_ptr<device::Stream>& stream) const {
  return std::make_unique<ModelPairAttention>(stream);
}

void attend_by_definition(const Pair& pair, const PairOutputs& outputs) {
  with_definition(pair, [&](const auto& definition) { definition.attend(outputs); });
}

void differentiate_by_definition(const Pair& pair, const PairGradients& gradients) {
  with_definition(pair, [&](const auto& definition) { definition.differentiate(gradients); });
}

}  // namespace annulus::test
