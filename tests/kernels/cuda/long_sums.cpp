// Digits that sums of many rows must not cost: those of a panel add up in fp32, panels in more
// digits.
//
// A sum of N terms of one sign, added one after the other with unit roundoff u, is off by some
// 0.4 u (N / 3)^1/2 of itself: 30 u for 16411 terms, 8 u for a panel of 1024, and 2 u for the 17
// panels that have as many terms, whose errors are independent. The largest of some tens of numbers
// is two or three times as much off.
#include "kernels/cuda/kernel_under_test.hpp"

namespace annulus::test {
namespace {

const double u = unit_roundoff(DataType::float32);

constexpr Index many = 16411;     // 17 panels in fp32
constexpr Index many_16 = 32771;  // 9 panels of 4096 in 16 bits

template <class T>
[[nodiscard]] WholeProblem<T> problem_of(Index queries, Index keys) {
  return random_problem<T>({.query_heads = 1,
                            .key_heads = 1,
                            .head_dim = 16,
                            .documents = Documents::single(queries, keys)},
                           31);
}

/// Numbers in [1/2, 1), negative from row `first_negative` on.
template <class T>
void make_alike(Tensor<T>& tensor, Index first_negative) {
  for (Index i = 0; i < tensor.rows; ++i) {
    for (Index c = 0; c < tensor.dim; ++c) {
      const double size = 0.75 + 0.25 * std::tanh(static_cast<double>(tensor.at(i, 0, c)));
      tensor.at(i, 0, c) = T(i < first_negative ? size : -size);
    }
  }
}

template <class T>
void make_alike(Tensor<T>& tensor) {
  make_alike(tensor, tensor.rows);
}

template <class T>
void make_zero(Tensor<T>& tensor) {
  std::ranges::fill(tensor.values, T(0.0));
}

template <class T>
void expect_near(const char* name, const Tensor<T>& got, const Tensor<double>& exact, double most) {
  EXPECT_TRUE(all_close(name, got.values, exact.values, most * largest_element(exact)));
}

TEST(CudaLongSums, OutputsOverManyKeys) {
  auto whole = problem_of<float>(5, many);
  make_alike(whole.v);
  const auto exact = direct(whole);
  for (const int key_shards : {1, 3}) {
    const auto got = attend_by(*open_cuda({}), whole, {.key_shards = key_shards});
    expect_near("out", got.out, exact.out, 12 * u);
    expect_near("lse", got.lse, exact.lse, 4 * u);
    expect_near("entropy", got.statistic("entropy"), exact.statistic("entropy"), 4 * u);
    expect_near("participation", got.statistic("participation"), exact.statistic("participation"),
                8 * u);
  }
}

// Equal logits, whose weight is 1 in any type.
TEST(CudaLongSums, OutputsOverManyKeysOfSixteenBits) {
  auto whole = problem_of<BFloat16>(5, many_16);
  make_zero(whole.q);
  make_alike(whole.v);
  expect_near("out", attend_by(*open_cuda({}), whole).out, direct(whole).out, 24 * u);
}

// Logits are 0 and dz_j has the sign of k_j, so that nothing cancels in dq = s Sum_j dz_j k_j. The
// rounding of lse, at most 8 u, is common to all terms.
TEST(CudaLongSums, GradientsOfQueriesOverManyKeys) {
  auto whole = problem_of<float>(5, many);
  make_zero(whole.q);
  make_alike(whole.k, many / 2);
  make_alike(whole.v, many / 2);
  auto dout = random_dout<float>(whole.problem);
  make_alike(dout);
  const auto exact = direct_gradients_of(whole, dout);
  for (const int key_shards : {1, 3}) {
    const auto got = gradients_by(*open_cuda({}), whole, dout, {.key_shards = key_shards});
    expect_near("dq", got.dq, exact.dq, 20 * u);
  }
}

/// Four keys of probability 1/4 each, exact in any type, and dz_ij of one sign for each key.
template <class T>
struct FewKeys {
  WholeProblem<T> whole;
  Tensor<T> dout;
  AllGradients<double> exact;

  explicit FewKeys(Index queries)
      : whole(problem_of<T>(queries, 4)),
        dout(random_dout<T>(whole.problem)),
        exact(whole.problem) {
    make_zero(whole.k);
    make_alike(whole.q);
    make_alike(whole.v, 2);
    make_alike(dout);
    exact = direct_gradients_of(whole, dout);
  }
};

TEST(CudaLongSums, GradientsOfKeysAndValuesOverManyQueries) {
  const FewKeys<float> keys(many);
  for (const int shards : {1, 3}) {
    const auto got =
        gradients_by(*open_cuda({}), keys.whole, keys.dout, {.shards = shards, .key_shards = 1});
    expect_near("dk", got.dk, keys.exact.dk, 12 * u);
    expect_near("dv", got.dv, keys.exact.dv, 12 * u);
  }
}

TEST(CudaLongSums, GradientsOfValuesOverManyQueriesOfSixteenBits) {
  const FewKeys<BFloat16> keys(many_16);
  expect_near("dv", gradients_by(*open_cuda({}), keys.whole, keys.dout).dv, keys.exact.dv, 24 * u);
}

// A panel that is full is the only one, and is written; with a row more there are two, which are
// added.
TEST(CudaLongSums, GradientsOfOnePanelAndOfARowMore) {
  for (const Index queries : {1024, 1025}) {
    const FewKeys<float> keys(queries);
    const auto got = gradients_by(*open_cuda({}), keys.whole, keys.dout);
    expect_near("dk", got.dk, keys.exact.dk, 30 * u);
    expect_near("dv", got.dv, keys.exact.dv, 30 * u);
  }
  for (const Index queries : {4096, 4097}) {
    const FewKeys<BFloat16> keys(queries);
    const auto got = gradients_by(*open_cuda({}), keys.whole, keys.dout);
    expect_near("dv", got.dv, keys.exact.dv, 60 * u);
  }
}

// One key has all of the probability, so dv is the sum of dout: 2^22 over the queries of the first
// panel, where a unit in the last place is 1/2, and 1/8 over those of each panel that follows.
TEST(CudaLongSums, WhatRoundingTakesIsKept) {
  const auto whole = problem_of<float>(many, 1);
  Tensor<float> dout(many, 1, 16);
  for (Index i = 0; i < many; ++i) {
    for (Index c = 0; c < 16; ++c) dout.at(i, 0, c) = i < 1024 ? 0x1p12F : 0x1p-13F;
  }
  const auto got = gradients_by(*open_cuda({}), whole, dout);
  for (const float dv : got.dv.values) EXPECT_NEAR(dv, 0x1p22 + (many - 1024) * 0x1p-13, 0.25);
}

// What was summed before is scaled down.
template <class T>
void expect_exact_where_logits_rise(Index keys) {
  auto whole = problem_of<T>(5, keys);
  for (Index i = 0; i < 5; ++i) whole.q.at(i, 0, 0) = T(4.0);
  for (Index j = 0; j < keys; ++j) {
    whole.k.at(j, 0, 0) = T(6.0 * static_cast<double>(j) / static_cast<double>(keys));
  }
  whole.sink = {2};
  const auto kernel = open_cuda({});
  expect_close(attend_by(*kernel, whole), direct(whole), bounds_of(whole, *kernel));
}

TEST(CudaLongSums, LogitsThatRiseFromPanelToPanel) {
  expect_exact_where_logits_rise<float>(2503);
  expect_exact_where_logits_rise<BFloat16>(8311);
}

}  // namespace
}  // namespace annulus::test
