// Any number of ranks, any sharding: the same attention as the definition gives on one.
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/expect_close.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8};

template <class T>
void expect_exact(WholeProblem<T> whole, const char* what, Sharpness sharpness = Sharpness::tenth) {
  const auto expected = direct(whole);
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(name, data_type_of<T>);
    const auto bounds = bounds_of(whole, kernel);
    for (const int ranks : rank_counts) {
      for (const auto sharding : all_shardings()) {
        for (const auto& spread : spreads_for(ranks, sharding, whole.problem.query_heads)) {
          SCOPED_TRACE(std::string(what) + ", " + std::string(name) +
                       ", P = " + std::to_string(ranks) + ", " + spread.text());
          expect_close(attend_by_ranks(whole, ranks, spread, kernel), expected, bounds, sharpness);
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

void expect_exact_in_every_type(const Problem& problem, const char* what, double size = 1.0,
                                Sharpness sharpness = Sharpness::tenth) {
  expect_exact(random_problem<double>(problem, 7, size), what, sharpness);
  expect_exact(random_problem<float>(problem, 7, size), what, sharpness);
  expect_exact(random_problem<BFloat16>(problem, 7, size), what, sharpness);
}

TEST(RingForward, EveryMask) {
  for (const auto* mask :
       {"full", "causal", "window:0", "window:5", "window:7,3", "window:0,11", "window:40"}) {
    expect_exact_in_every_type({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 7,
                                .documents = Documents::single(67),
                                .mask = Mask::parse(mask)},
                               mask);
  }
}

TEST(RingForward, EveryLogitScale) {
  for (const auto* scale : {"none", "critical:gamma=2", "critical:gamma=-1,length=visible",
                            "ssmax:s=0.7", "su:base_length=16", "qwen:train_length=11", "yarn",
                            "llama4:floor=5", "ministral:original=9", "grok:train_length=13",
                            "infoscale:train_length=17", "table", "critical:gamma=0"}) {
    expect_exact_in_every_type({.head_dim = 5,
                                .documents = Documents::packed({0, 37, 37, 61}),
                                .mask = Mask::causal(),
                                .logit_scale = LogitScale::parse(scale)},
                               scale);
  }
}

TEST(RingForward, EveryHeadDimension) {
  for (const Index dim : {1, 2, 3, 8, 17, 33, 64, 127, 256}) {
    expect_exact_in_every_type({.query_heads = 3,
                                .key_heads = 3,
                                .head_dim = dim,
                                .value_dim = dim == 1 ? 5 : dim - 1,
                                .documents = Documents::single(41),
                                .mask = Mask::causal()},
                               std::to_string(dim).c_str());
  }
}

TEST(RingForward, GroupedHeads) {
  for (const Index key_heads : {1, 2, 3, 6}) {
    expect_exact_in_every_type({.query_heads = 6,
                                .key_heads = key_heads,
                                .head_dim = 8,
                                .documents = Documents::single(53)},
                               "grouped heads");
  }
}

TEST(RingForward, DocumentsAndBatches) {
  for (const auto& documents :
       {Documents::packed({0, 1, 2, 40, 40, 71}), Documents::batch(5, 13, 13),
        Documents::batch(3, 7, 19), Documents::packed({0, 9, 10, 31}, {0, 2, 30, 41})}) {
    for (const auto* mask : {"full", "causal", "window:4,2"}) {
      expect_exact_in_every_type({.head_dim = 4, .documents = documents, .mask = Mask::parse(mask)},
                                 mask);
    }
  }
}

TEST(RingForward, QueriesAndKeysOfDifferentNumber) {
  for (const auto& [queries, keys] :
       {std::pair<Index, Index>{1, 61}, {7, 61}, {61, 7}, {3, 1}, {2, 2}, {0, 5}, {5, 0}, {0, 0}}) {
    for (const auto* mask : {"full", "causal", "window:3,1"}) {
      expect_exact_in_every_type({.query_heads = 2,
                                  .key_heads = 2,
                                  .head_dim = 6,
                                  .documents = Documents::single(queries, keys),
                                  .mask = Mask::parse(mask),
                                  .logit_scale = LogitScale::parse("ssmax")},
                                 mask);
    }
  }
}

TEST(RingForward, GainsAndSinks) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 8,
                        .documents = Documents::single(5, 43),
                        .mask = Mask::window(3)};
  auto whole = random_problem<double>(problem, 8);
  whole.gain = {1.5, -0.7, 0.0, 30.0};
  // A sink that takes nearly all, one that takes nothing, one that is not there, an ordinary one.
  whole.sink = {40.0, -1e4, -std::numeric_limits<double>::infinity(), 0.5};
  expect_exact(whole, "gains and sinks");
  auto more_queries = problem;
  more_queries.documents = Documents::single(43, 5);  // most rows see the sink alone
  more_queries.mask = Mask::causal();
  auto lonely = random_problem<float>(more_queries, 9);
  lonely.sink = whole.sink;
  expect_exact(lonely, "rows that see the sink alone");
}

TEST(RingForward, ExtremeLogitsStayFinite) {
  // Logits as large as 1e4 and more: |q| is 1e4 / sqrt(d) times normal. No entropy is left.
  for (const double size : {1e2, 1e4}) {
    expect_exact_in_every_type(
        {.head_dim = 4, .documents = Documents::single(47), .mask = Mask::causal()}, "extreme",
        size, Sharpness::any);
  }
}

TEST(RingForward, FewerRowsThanRanks) {
  for (const Index n : {1, 2, 3, 7}) {
    expect_exact_in_every_type(
        {.head_dim = 3, .documents = Documents::single(n), .mask = Mask::causal()}, "n < P");
  }
}

TEST(RingForward, DoubleIsWithinOnePartInTenToTheTwelve) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 64,
                        .documents = Documents::single(257),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::critical(0.5)};
  auto whole = random_problem<double>(problem, 10);
  const auto expected = direct(whole);
  const double largest = largest_element(whole.v);
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    for (const int ranks : rank_counts) {
      const auto got = attend_by_ranks(whole, ranks, Sharding::zigzag,
                                       kernels::find_backend(name, DataType::float64));
      EXPECT_TRUE(all_close("out", got.out.values, expected.out.values, 1e-12 * largest));
      EXPECT_TRUE(all_close("lse", got.lse.values, expected.lse.values, 1e-12));
    }
  }
}

// The query e_1 meets one key e_1 and n - 1 keys at cosine rho.
double needle(Index n, double rho, double gamma, int ranks, Sharding sharding,
              const kernels::Kernel& kernel) {
  const Problem problem{.head_dim = 2,
                        .value_dim = 1,
                        .documents = Documents::single(1, n),
                        .logit_scale = LogitScale::critical(gamma)};
  WholeProblem<double> whole{.problem = problem,
                             .q = Tensor<double>(1, 1, 2),
                             .k = Tensor<double>(n, 1, 2),
                             .v = Tensor<double>(n, 1, 1),
                             .gain = {},
                             .sink = {},
                             .table = {}};
  whole.q.at(0, 0, 0) = 1;
  for (Index j = 0; j < n; ++j) {
    const bool found = j == n / 3;
    whole.k.at(j, 0, 0) = found ? 1 : rho;
    whole.k.at(j, 0, 1) = found ? 0 : std::sqrt(1 - rho * rho);
    whole.v.at(j, 0, 0) = found ? 1 : 0;
  }
  return attend_by_ranks(whole, ranks, sharding, kernel).out.at(0, 0, 0);
}

TEST(RingForward, NoShardLengthEntersTheScale) {
  // Critical needle, n = 65536: .5000038147 for every P. The wrong, local length gives .333337 at
  // P = 2 and .2, .111, .059 after it.
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(name, DataType::float64);
    for (const int ranks : {1, 2, 3, 4, 5, 8, 16}) {
      for (const auto sharding : all_shardings()) {
        EXPECT_NEAR(needle(65536, 0.5, 2.0, ranks, sharding, kernel), .5000038147, 5.1e-11);
      }
    }
  }
}

TEST(RingForward, CausalConventionIsTheOneAskedFor) {
  // A needle at each query's own position, gamma (1 - rho) = 1: length=visible gives
  // (i+1)/(2i+1), length=global n/(n+i). Simplex tokens have this geometry for every query.
  const Index n = 97;
  for (const bool global : {false, true}) {
    const Problem problem{
        .head_dim = n + 1,
        .value_dim = 1,
        .documents = Documents::single(n),
        .mask = Mask::causal(),
        .logit_scale = LogitScale::parse(global ? "critical:gamma=2,length=global"
                                                : "critical:gamma=2,length=visible")};
    WholeProblem<double> whole{.problem = problem,
                               .q = Tensor<double>(n, 1, n + 1),
                               .k = {},
                               .v = Tensor<double>(n, 1, 1),
                               .gain = {},
                               .sink = {},
                               .table = {}};
    for (Index i = 0; i < n; ++i) {
      whole.q.at(i, 0, 0) = std::sqrt(0.5);
      whole.q.at(i, 0, 1 + i) = std::sqrt(0.5);
    }
    whole.k = whole.q;
    for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
      for (const int ranks : rank_counts) {
        for (const auto sharding : all_shardings()) {
          const auto got = attend_by_ranks(whole, ranks, sharding,
                                           kernels::find_backend(name, DataType::float64));
          for (Index row = 0; row < n; ++row) {
            const auto i = static_cast<double>(row);
            const auto length = static_cast<double>(n);
            const double expected = global ? length / (length + i) : (i + 1) / (2 * i + 1);
            ASSERT_NEAR(got.statistic("self_probability").at(row, 0, 0), expected, 1e-13);
          }
        }
      }
    }
  }
}

TEST(RingForward, AFailingRankEndsAllWithItsOwnMessage) {
  const auto whole =
      random_problem<double>({.head_dim = 3, .documents = Documents::single(64)}, 11);
  const auto plan =
      plan_by(kernels::reference(), whole, Topology{.ranks = 4}, Sharding::contiguous);
  Outputs<double> result(64, 1, 3);
  try {
    comm::run_threads(4, [&](comm::Communicator& communicator) {
      if (communicator.rank() == 2) throw Error("rank 2 has no more memory");
      attend(whole, communicator, plan, kernels::reference(), result);
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 2 has no more memory");
  }
}

TEST(RingForward, WrongShapesAreNamed) {
  comm::run_threads(1, [](comm::Communicator& communicator) {
    RingAttention attention(
        make_plan({.head_dim = 3, .documents = Documents::single(4)}, communicator.topology()),
        communicator, kernels::reference());
    Tensor<float> good(4, 1, 3);
    Tensor<float> bad(4, 1, 2);
    Tensor<double> other_type(4, 1, 3);
    const auto expect_refused = [&](auto& q, auto& out, const char* name) {
      try {
        attention.forward(q.view(), good.view(), good.view(), out.view());
        ADD_FAILURE() << "nothing was thrown";
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find(name), 0U) << error.what();
      }
    };
    expect_refused(bad, good, "q is fp32 (4, 1, 2)");
    expect_refused(other_type, good, "q is fp64 (4, 1, 3)");
    expect_refused(good, bad, "out is fp32 (4, 1, 2)");
  });
  EXPECT_THROW(comm::run_threads(2,
                                 [](comm::Communicator& communicator) {
                                   RingAttention(make_plan({}, {.ranks = 3}), communicator,
                                                 kernels::reference());
                                 }),
               InputError);
}

TEST(RingForward, TheDeviceConstructorComputesToo) {
  auto whole = random_problem<float>({.head_dim = 16, .documents = Documents::single(31)}, 12);
  const auto expected = direct(whole);
  comm::run_threads(1, [&](comm::Communicator& communicator) {
    RingAttention attention(make_plan(whole.problem, communicator.topology()), communicator,
                            Device::cpu());
    Outputs<float> got(31, 1, 16);
    const auto report =
        attention.forward(whole.q.view(), whole.k.view(), whole.v.view(), got.out.view());
    EXPECT_EQ(report.bytes_sent, 0);
    expect_close("out", got.out.values, expected.out.values,
                 bounds_of(whole, kernels::cpu()).out.values);
    EXPECT_THROW(RingAttention(attention.plan(), communicator, Device::cuda()), InputError);
  });
}

}  // namespace
}  // namespace annulus::test
