// Any number of ranks, any sharding: the gradients that the definition gives on one.
#include <gtest/gtest.h>

#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8};

template <class T>
void expect_exact(const WholeProblem<T>& whole, const char* what) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(name, data_type_of<T>);
    const auto roundings = kernels::Roundings::of(kernel, data_type_of<T>);
    const auto bounds = gradient_bounds_of(whole, dout, roundings);
    for (const int ranks : rank_counts) {
      for (const auto sharding : all_shardings()) {
        for (const auto& spread : spreads_for(ranks, sharding, whole.problem.query_heads)) {
          for (const bool keep : {true, false}) {
            SCOPED_TRACE(std::string(what) + ", " + std::string(name) +
                         ", P = " + std::to_string(ranks) + ", " + spread.text() +
                         (keep ? "" : ", fetched again"));
            expect_close(gradients_by_ranks(whole, dout, ranks, spread, kernel, keep), expected,
                         bounds, Sharpness::tenth, sharpness_of_parameters(roundings));
            if (testing::Test::HasFailure()) return;
          }
        }
      }
    }
  }
}

void expect_exact_in_every_type(const Problem& problem, const char* what) {
  expect_exact(random_problem<double>(problem, 7), what);
  expect_exact(random_problem<float>(problem, 7), what);
  expect_exact(random_problem<BFloat16>(problem, 7), what);
}

TEST(RingBackward, EveryMask) {
  for (const auto* mask : {"full", "causal", "window:0", "window:5", "window:7,3", "window:0,11",
                           "window:40", "window:9,9"}) {
    expect_exact_in_every_type({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 7,
                                .documents = Documents::single(67),
                                .mask = Mask::parse(mask)},
                               mask);
  }
}

TEST(RingBackward, EveryLogitScale) {
  for (const auto name : LogitScale::names()) {
    const auto scale = name == "table" ? LogitScale::table() : LogitScale::parse(name);
    expect_exact_in_every_type({.query_heads = 2,
                                .key_heads = 2,
                                .head_dim = 5,
                                .documents = Documents::single(31),
                                .mask = Mask::causal(),
                                .logit_scale = scale},
                               std::string(name).c_str());
  }
}

TEST(RingBackward, DocumentsBatchesAndGroups) {
  expect_exact_in_every_type({.query_heads = 6,
                              .key_heads = 2,
                              .head_dim = 4,
                              .value_dim = 9,
                              .documents = Documents::packed({0, 13, 14, 14, 40}),
                              .mask = Mask::causal()},
                             "packed");
  expect_exact_in_every_type(
      {.query_heads = 2, .key_heads = 1, .head_dim = 3, .documents = Documents::batch(3, 11, 11)},
      "batch");
}

TEST(RingBackward, QueriesAndKeysOfDifferentNumber) {
  for (const auto& documents : {Documents::single(3, 31), Documents::single(29, 5),
                                Documents::packed({0, 4, 5, 9}, {0, 9, 12, 12})}) {
    expect_exact_in_every_type({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 4,
                                .documents = documents,
                                .mask = Mask::causal()},
                               "n_q != n_k");
  }
}

template <class T>
void expect_exact_on_two_threads(const Problem& problem) {
  const auto whole = random_problem<T>(problem, 7);
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  const auto roundings = kernels::Roundings::of(kernels::cpu(), data_type_of<T>);
  const auto bounds = gradient_bounds_of(whole, dout, roundings);
  for (const int ranks : {1, 2}) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", " + problem.mask.name() +
                 ", n = " + std::to_string(problem.documents.queries()));
    expect_close(gradients_by_ranks(whole, dout, ranks, Sharding::zigzag, kernels::cpu(), true, 2),
                 expected, bounds, Sharpness::tenth, sharpness_of_parameters(roundings));
  }
}

// The cpu backend cuts queries and keys into panels of up to 768 rows, and those into tiles.
TEST(RingBackward, LengthsAroundTilesAndPanels) {
  for (const Index n : {47, 49, 95, 97, 191, 193, 383, 385, 767, 769, 1543}) {
    for (const auto* mask : {"causal", "window:100,30"}) {
      const Problem problem{.query_heads = 2,
                            .key_heads = 1,
                            .head_dim = 5,
                            .documents = Documents::single(n),
                            .mask = Mask::parse(mask)};
      expect_exact_on_two_threads<float>(problem);
      expect_exact_on_two_threads<BFloat16>(problem);
    }
  }
}

template <class T>
void expect_same_bits() {
  const auto whole = random_problem<T>({.query_heads = 4,
                                        .key_heads = 2,
                                        .head_dim = 17,
                                        .documents = Documents::packed({0, 700, 1100}),
                                        .mask = Mask::causal()},
                                       7);
  const auto dout = random_dout<T>(whole.problem);
  const auto gradients = [&](int threads) {
    return gradients_by_ranks(whole, dout, 2, Sharding::zigzag, kernels::cpu(), true, threads);
  };
  const auto one = gradients(1);
  for (const int threads : {2, 3, 7}) {
    const auto many = gradients(threads);
    EXPECT_EQ(one.dq.values, many.dq.values) << threads;
    EXPECT_EQ(one.dk.values, many.dk.values) << threads;
    EXPECT_EQ(one.dv.values, many.dv.values) << threads;
  }
}

TEST(RingBackward, AnyNumberOfThreadsGivesTheSameBits) {
  expect_same_bits<float>();
  expect_same_bits<BFloat16>();
}

// Peers add to the gradients of a shard in turns, whoever comes first.
TEST(RingBackward, EveryRunGivesTheSameBits) {
  const auto whole = random_problem<float>({.query_heads = 2,
                                            .key_heads = 1,
                                            .head_dim = 9,
                                            .documents = Documents::single(211),
                                            .mask = Mask::causal()},
                                           7);
  const auto dout = random_dout<float>(whole.problem);
  for (const int per_node : {1, 2, 3, 6}) {
    const auto gradients = [&] {
      return gradients_by_ranks(whole, dout, 6, Spread(Sharding::zigzag).over_nodes_of(per_node),
                                kernels::cpu(), true);
    };
    const auto first = gradients();
    for (int run = 0; run < 5; ++run) {
      const auto again = gradients();
      EXPECT_EQ(first.dq.values, again.dq.values) << per_node;
      EXPECT_EQ(first.dk.values, again.dk.values) << per_node;
      EXPECT_EQ(first.dv.values, again.dv.values) << per_node;
    }
  }
}

TEST(RingBackward, GainsAndSinks) {
  Problem problem{.query_heads = 4,
                  .key_heads = 2,
                  .head_dim = 6,
                  .documents = Documents::single(37),
                  .mask = Mask::window(4, 0),
                  .logit_scale = LogitScale::critical(0.5)};
  auto whole = random_problem<double>(problem, 3);
  whole.gain = {1.5, 0.0, -1.0, 0.25};
  whole.sink = {-std::numeric_limits<double>::infinity(), 0.0, 20.0, -3.0};
  expect_exact(whole, "gains and sinks");
}

TEST(RingBackward, FewerRowsThanRanks) {
  expect_exact_in_every_type(
      {.query_heads = 1, .key_heads = 1, .head_dim = 2, .documents = Documents::single(1)},
      "n = 1");
  expect_exact_in_every_type({.query_heads = 1,
                              .key_heads = 1,
                              .head_dim = 2,
                              .documents = Documents::single(5),
                              .mask = Mask::causal()},
                             "n = 5");
}

}  // namespace
}  // namespace annulus::test
