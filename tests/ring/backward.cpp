// Any number of ranks, any sharding: the gradients that the definition gives on one.
#include <gtest/gtest.h>

#include "annulus/kernels/backend.hpp"
#include "support/expect_close.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8};

/// All gradients of a problem.
template <class T>
struct AllGradients {
  Tensor<T> dq;
  Tensor<T> dk;
  Tensor<T> dv;
  std::vector<double> dgain;
  std::vector<double> dsink;

  explicit AllGradients(const Problem& problem)
      : dq(problem.documents.queries(), problem.query_heads, problem.head_dim),
        dk(problem.documents.keys(), problem.key_heads, problem.head_dim),
        dv(problem.documents.keys(), problem.key_heads, problem.output_dim()),
        dgain(static_cast<std::size_t>(problem.query_heads)),
        dsink(dgain.size()) {}
};

template <class T>
Tensor<T> random_dout(const Problem& problem) {
  std::mt19937_64 random(11);
  return random_tensor<T>(random, problem.documents.queries(), problem.query_heads,
                          problem.output_dim());
}

template <class T>
AllGradients<double> direct_gradients_of(const WholeProblem<T>& whole, const Tensor<T>& dout) {
  AllGradients<double> all(whole.problem);
  kernels::direct_gradients(whole.problem,
                            {.q = whole.q.view(),
                             .k = whole.k.view(),
                             .v = whole.v.view(),
                             .gain = whole.gain,
                             .sink = whole.sink,
                             .table = whole.table},
                            dout.view(),
                            {.dq = all.dq.view(),
                             .dk = all.dk.view(),
                             .dv = all.dv.view(),
                             .dgain = all.dgain,
                             .dsink = all.dsink});
  return all;
}

/// Forward and backward by ranks that are threads. `keep`: whether the backward pass starts from
/// what the forward pass held last.
template <class T>
AllGradients<T> by_ranks(const WholeProblem<T>& whole, const Tensor<T>& dout, int ranks,
                         Sharding sharding, const kernels::Kernel& kernel, bool keep) {
  const auto& problem = whole.problem;
  AllGradients<T> result(problem);
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    const auto plan = make_plan(problem, communicator.topology(),
                                {.sharding = sharding, .data_type = data_type_of<T>});
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const auto rows = packed_rows(plan.query_shards[rank], problem.documents.query_offsets());
    const auto key_rows = packed_rows(plan.key_shards[rank], problem.documents.key_offsets());
    const auto q = take_rows(whole.q, rows);
    const auto k = take_rows(whole.k, key_rows);
    const auto v = take_rows(whole.v, key_rows);
    const auto local_dout = take_rows(dout, rows);
    std::vector<double> table;
    for (const Index row : rows) {
      for (Index h = 0; h < problem.query_heads && !whole.table.empty(); ++h) {
        table.push_back(whole.table[static_cast<std::size_t>(row * problem.query_heads + h)]);
      }
    }
    Outputs<T> local(static_cast<Index>(rows.size()), problem.query_heads, problem.output_dim());
    RingAttention attention(plan, communicator, kernel);
    HeldShards held;
    attention.forward(q.view(), k.view(), v.view(), local.out.view(),
                      {.lse = local.lse.view(),
                       .gain = whole.gain,
                       .sink = whole.sink,
                       .logit_scale = table,
                       .held = keep ? &held : nullptr});
    Tensor<T> dq(q.rows, q.heads, q.dim);
    Tensor<T> dk(k.rows, k.heads, k.dim);
    Tensor<T> dv(v.rows, v.heads, v.dim);
    std::vector<double> dgain(result.dgain.size());
    std::vector<double> dsink(result.dsink.size());
    attention.backward(
        {.q = q.view(),
         .k = k.view(),
         .v = v.view(),
         .out = local.out.view(),
         .lse = local.lse.view(),
         .dout = local_dout.view(),
         .gain = whole.gain,
         .sink = whole.sink,
         .logit_scale = table,
         .held = std::move(held)},
        {.dq = dq.view(), .dk = dk.view(), .dv = dv.view(), .dgain = dgain, .dsink = dsink});
    put_rows(result.dq, rows, dq);
    put_rows(result.dk, key_rows, dk);
    put_rows(result.dv, key_rows, dv);
    if (communicator.rank() == 0) {
      result.dgain = dgain;
      result.dsink = dsink;
    }
  });
  return result;
}

/// Within `bound` of the largest entry.
template <class T>
void expect_near(const char* name, const std::vector<T>& got, const std::vector<double>& expected,
                 double bound) {
  double largest = 1;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), expected[i], bound * largest)
        << name << "[" << i << "]";
  }
}

template <class T>
void expect_exact(WholeProblem<T> whole, const char* what) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  // A gradient is a sum of weights times differences of two numbers of the size of
  // |dout| |v| <= 2 d_v times the largest entries, whose errors are those of the weights.
  const double bound = 8 * bound_of(whole).weight;
  for (const auto name : kernels::backend_names()) {
    const auto& kernel = kernels::find_backend(name, data_type_of<T>);
    for (const int ranks : rank_counts) {
      for (const auto sharding : all_shardings()) {
        for (const bool keep : {true, false}) {
          SCOPED_TRACE(std::string(what) + ", " + std::string(name) +
                       ", P = " + std::to_string(ranks) + ", " + std::string(name_of(sharding)) +
                       (keep ? "" : ", fetched again"));
          const auto got = by_ranks(whole, dout, ranks, sharding, kernel, keep);
          expect_near("dq", got.dq.values, expected.dq.values, bound);
          expect_near("dk", got.dk.values, expected.dk.values, bound);
          expect_near("dv", got.dv.values, expected.dv.values, bound);
          expect_near("dgain", got.dgain, expected.dgain, bound);
          expect_near("dsink", got.dsink, expected.dsink, bound);
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

void expect_exact_in_both_types(const Problem& problem, const char* what) {
  expect_exact(random_problem<double>(problem, 7), what);
  expect_exact(random_problem<float>(problem, 7), what);
}

TEST(RingBackward, EveryMask) {
  for (const auto* mask : {"full", "causal", "window:0", "window:5", "window:7,3", "window:0,11",
                           "window:40", "window:9,9"}) {
    expect_exact_in_both_types({.query_heads = 2,
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
    expect_exact_in_both_types({.query_heads = 2,
                                .key_heads = 2,
                                .head_dim = 5,
                                .documents = Documents::single(31),
                                .mask = Mask::causal(),
                                .logit_scale = scale},
                               std::string(name).c_str());
  }
}

TEST(RingBackward, DocumentsBatchesAndGroups) {
  expect_exact_in_both_types({.query_heads = 6,
                              .key_heads = 2,
                              .head_dim = 4,
                              .value_dim = 9,
                              .documents = Documents::packed({0, 13, 14, 14, 40}),
                              .mask = Mask::causal()},
                             "packed");
  expect_exact_in_both_types(
      {.query_heads = 2, .key_heads = 1, .head_dim = 3, .documents = Documents::batch(3, 11, 11)},
      "batch");
}

TEST(RingBackward, QueriesAndKeysOfDifferentNumber) {
  for (const auto& documents : {Documents::single(3, 31), Documents::single(29, 5),
                                Documents::packed({0, 4, 5, 9}, {0, 9, 12, 12})}) {
    expect_exact_in_both_types({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 4,
                                .documents = documents,
                                .mask = Mask::causal()},
                               "n_q != n_k");
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
  expect_exact_in_both_types(
      {.query_heads = 1, .key_heads = 1, .head_dim = 2, .documents = Documents::single(1)},
      "n = 1");
  expect_exact_in_both_types({.query_heads = 1,
                              .key_heads = 1,
                              .head_dim = 2,
                              .documents = Documents::single(5),
                              .mask = Mask::causal()},
                             "n = 5");
}

}  // namespace
}  // namespace annulus::test
