// The graphs that cuDNN is given, by the rules of its frontend: they need cuDNN and no GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/kernels/cudnn.hpp"
#include "kernels/cudnn/library.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::Pair;
using kernels::gpu::PairGradients;
using kernels::gpu::PairMask;
using kernels::gpu::refusal_of;

/// A pair of dense rows, and its gradients, without data.
struct Shape {
  Pair pair;
  PairGradients gradients;

  Shape(PairMask mask, Index queries, Index keys, int heads, int key_heads, int d, int d_v)
      : pair{.mask = mask,
             .queries = queries,
             .keys = keys,
             .heads = heads,
             .key_heads = key_heads,
             .scale = 0.125,
             .q = {nullptr, Index{heads} * d, d, d},
             .k = {nullptr, Index{key_heads} * d, d, d},
             .v = {nullptr, Index{key_heads} * d_v, d_v, d_v}},
        gradients{.out = {nullptr, Index{heads} * d_v, d_v, d_v},
                  .dout = {nullptr, Index{heads} * d_v, d_v, d_v},
                  .dq = {nullptr, Index{heads} * d, d},
                  .dk = {nullptr, Index{key_heads} * d, d},
                  .dv = {nullptr, Index{key_heads} * d_v, d_v}} {}

  [[nodiscard]] std::string forward_refusal(int capability) const {
    return refusal_of(pair, capability);
  }
  [[nodiscard]] std::string backward_refusal(int capability) const {
    return refusal_of(pair, gradients, capability);
  }
};

class CudnnGraphs : public testing::Test {
 protected:
  void SetUp() override {
    const auto problem = kernels::cudnn_problem();
    if (!problem.empty()) GTEST_SKIP() << problem;
  }
};

TEST_F(CudnnGraphs, AreTakenForwardAndBackward) {
  for (const int capability : {80, 90, 100}) {
    for (const auto type : {DataType::bfloat16, DataType::float16}) {
      for (const auto mask : {PairMask::full, PairMask::causal}) {
        for (const int d : {8, 64, 128}) {
          for (const int key_heads : {1, 2, 8}) {
            for (const Index rows : {2, 61, 1024}) {
              SCOPED_TRACE(std::to_string(capability) + ", d = " + std::to_string(d) + ", " +
                           std::to_string(key_heads) + " key heads, " + std::to_string(rows));
              Shape shape(mask, rows, rows, 8, key_heads, d, 64);
              shape.pair.type = type;
              EXPECT_EQ(shape.forward_refusal(capability), "");
              EXPECT_EQ(shape.backward_refusal(capability), "");
              shape.gradients.in_order = false;
              EXPECT_EQ(shape.backward_refusal(capability), "");
            }
          }
        }
      }
    }
  }
}

TEST_F(CudnnGraphs, OfOneQueryOrOneKey) {
  for (const int capability : {80, 90, 100}) {
    for (const auto& [queries, keys] : {std::pair<Index, Index>{1, 2}, {2, 1}, {1, 333}, {77, 1}}) {
      const Shape shape(PairMask::full, queries, keys, 2, 1, 64, 64);
      EXPECT_EQ(shape.forward_refusal(capability), "");
      EXPECT_EQ(shape.backward_refusal(capability), "");
    }
    // Why CudnnBackward gives such a query another one.
    const Shape single(PairMask::full, 1, 1, 2, 1, 64, 64);
    EXPECT_EQ(single.forward_refusal(capability), "");
    EXPECT_THAT(single.backward_refusal(capability), testing::HasSubstr("s_q = s_kv = 1"));
  }
}

// What depends on the GPU: gradients of heads of more than 128.
TEST_F(CudnnGraphs, OfLargeHeads) {
  const Shape shape(PairMask::causal, 64, 64, 4, 4, 256, 256);
  for (const int capability : {80, 90}) EXPECT_EQ(shape.forward_refusal(capability), "");
  EXPECT_EQ(shape.backward_refusal(90), "");
  EXPECT_THAT(shape.backward_refusal(80), testing::HasSubstr("128"));
  const Shape larger(PairMask::causal, 64, 64, 4, 4, 264, 64);
  EXPECT_THAT(larger.backward_refusal(90), testing::HasSubstr("256"));
}

TEST_F(CudnnGraphs, OfHeadsThatDoNotDivide) {
  const Shape shape(PairMask::full, 64, 64, 8, 3, 64, 64);
  EXPECT_THAT(shape.forward_refusal(90), testing::HasSubstr("group-query"));
  EXPECT_THAT(shape.backward_refusal(90), testing::HasSubstr("group-query"));
}

}  // namespace
}  // namespace annulus::test
