#include "support/model_pairs.hpp"

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "annulus/attention/softmax_state.hpp"
#include "annulus/base/half.hpp"
#include "support/model_device.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::InputRows;
using kernels::gpu::PairArguments;
using kernels::gpu::PairMask;

/// What cuDNN's kernels take without being asked to check it.
void check(const PairArguments& pair) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  require(pair.queries > 0 && pair.keys > 0, "a pair without rows");
  require(pair.mask == PairMask::full || pair.queries == pair.keys, "a diagonal that is no square");
  require(pair.heads % pair.key_heads == 0, "heads");
  require(pair.scale > 0, "a scale");
  for (const auto* rows : {&pair.q, &pair.k, &pair.v}) {
    require(reinterpret_cast<std::uintptr_t>(rows->data) % 16 == 0 && rows->row_stride % 8 == 0 &&
                rows->head_stride % 8 == 0 && rows->dim % 8 == 0,
            "rows that do not start at multiples of 16 bytes");
  }
}

template <class T>
const T* row_of(const InputRows& rows, Index i, Index h) {
  return static_cast<const T*>(rows.data) + i * rows.row_stride + h * rows.head_stride;
}

template <class T>
void attend_row(const PairArguments& pair, Index i, Index h) {
  const Index group = pair.heads / pair.key_heads;
  const auto* q = row_of<T>(pair.q, i, h);
  SoftmaxState<double> state;
  std::vector<double> sums(static_cast<std::size_t>(pair.v.dim));
  const Index visible = pair.mask == PairMask::causal ? i + 1 : pair.keys;
  for (Index j = 0; j < visible; ++j) {
    const auto* k = row_of<T>(pair.k, j, h / group);
    const auto* v = row_of<T>(pair.v, j, h / group);
    double logit = 0;
    for (int c = 0; c < pair.q.dim; ++c) {
      logit += static_cast<double>(q[c]) * static_cast<double>(k[c]);
    }
    std::vector<double> value(v, v + pair.v.dim);
    merge(state, std::span(sums), SoftmaxState<double>::of_key(pair.scale * logit),
          std::span<const double>(value));
  }
  auto* out = static_cast<T*>(pair.out) + (i * pair.heads + h) * pair.v.dim;
  for (const double sum : sums) *out++ = static_cast<T>(sum / state.sum);
  pair.lse[h * pair.queries + i] = static_cast<float>(state.lse());
}

template <class T>
void attend(const PairArguments& pair) {
  for (Index i = 0; i < pair.queries; ++i) {
    for (Index h = 0; h < pair.heads; ++h) attend_row<T>(pair, i, h);
  }
}

class ModelPairAttention final : public kernels::gpu::PairAttention {
 public:
  explicit ModelPairAttention(std::shared_ptr<device::Stream> stream)
      : stream_(std::move(stream)) {}

  void enqueue(const PairArguments& pair) override {
    check(pair);
    dynamic_cast<ModelStream&>(*stream_).enqueue([pair] {
      if (pair.type == DataType::bfloat16) {
        attend<BFloat16>(pair);
      } else {
        attend<Float16>(pair);
      }
    });
  }

 private:
  std::shared_ptr<device::Stream> stream_;
};

}  // namespace

std::unique_ptr<kernels::gpu::PairAttention> ModelPairs::open(
    const std::shared_ptr<device::Stream>& stream) const {
  return std::make_unique<ModelPairAttention>(stream);
}

}  // namespace annulus::test
