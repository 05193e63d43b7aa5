// Some heads of a pair after the others give what all of them give.
#include <random>

#include <gtest/gtest.h>

#include "support/model_pairs.hpp"
#include "support/tensor.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::heads_of;
using kernels::gpu::InputRows;
using kernels::gpu::OutputRows;
using kernels::gpu::Pair;
using kernels::gpu::PairGradients;
using kernels::gpu::PairMask;

constexpr int query_heads = 6;
constexpr int key_heads = 3;
constexpr int d = 8;
constexpr int d_v = 16;
constexpr Index rows = 5;

InputRows rows_of(const Tensor<BFloat16>& tensor) {
  return {tensor.values.data(), tensor.heads * tensor.dim, tensor.dim,
          static_cast<int>(tensor.dim)};
}

OutputRows rows_of(Tensor<BFloat16>& tensor) {
  return {tensor.values.data(), tensor.heads * tensor.dim, static_cast<int>(tensor.dim)};
}

/// dq, dk and dv, NaN at first.
struct Made {
  Tensor<BFloat16> dq{rows, query_heads, d};
  Tensor<BFloat16> dk{rows, key_heads, d};
  Tensor<BFloat16> dv{rows, key_heads, d_v};

  Made() {
    for (auto* tensor : {&dq, &dk, &dv}) {
      std::ranges::fill(tensor->values, BFloat16(std::numeric_limits<double>::quiet_NaN()));
    }
  }
};

void expect_same_bits(const Tensor<BFloat16>& a, const Tensor<BFloat16>& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_EQ(a.values[i].bits, b.values[i].bits) << i;
    ASSERT_FALSE(std::isnan(static_cast<float>(a.values[i]))) << i;
  }
}

TEST(CudnnHeads, SomeAfterTheOthersGiveWhatAllGive) {
  std::mt19937_64 random(3);
  const auto q = random_tensor<BFloat16>(random, rows, query_heads, d);
  const auto k = random_tensor<BFloat16>(random, rows, key_heads, d);
  const auto v = random_tensor<BFloat16>(random, rows, key_heads, d_v);
  const auto out = random_tensor<BFloat16>(random, rows, query_heads, d_v);
  const auto dout = random_tensor<BFloat16>(random, rows, query_heads, d_v);
  const auto lse = random_tensor<float>(random, query_heads, rows, 1);
  const Pair pair{.mask = PairMask::causal,
                  .queries = rows,
                  .keys = rows,
                  .heads = query_heads,
                  .key_heads = key_heads,
                  .scale = 0.5,
                  .q = rows_of(q),
                  .k = rows_of(k),
                  .v = rows_of(v)};
  const auto gradients_to = [&](Made& made) {
    return PairGradients{.out = rows_of(out),
                         .dout = rows_of(dout),
                         .lse = lse.values.data(),
                         .dq = rows_of(made.dq),
                         .dk = rows_of(made.dk),
                         .dv = rows_of(made.dv)};
  };
  Made all;
  differentiate_by_definition(pair, gradients_to(all));
  for (const int at_once : {1, 2}) {
    Made made;
    for (int first = 0; first < key_heads; first += at_once) {
      differentiate_by_definition(heads_of(pair, first, std::min(at_once, key_heads - first)),
                                  heads_of(gradients_to(made), pair, first));
    }
    expect_same_bits(made.dq, all.dq);
    expect_same_bits(made.dk, all.dk);
    expect_same_bits(made.dv, all.dv);
  }
}

}  // namespace
}  // namespace annulus::test
