// What must hold between statistics, whatever is asked of the attention: measured by ranks, and
// never compared with another formula for the same number.
//
// With logits z = beta x and p the probabilities of a row: d lse/d beta = E_p[x],
// d H/d beta = -beta Var_p(x), H = lse - E_p[z], and H of all keys from those of parts of them. A
// sink is one more key, with a logit that beta does not scale and value 0.
#include <gtest/gtest.h>

#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/expect_close.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A problem with one of everything.
WholeProblem<double> problem_with(const char* feature) {
  const std::string name = feature;
  Problem problem{.query_heads = 4,
                  .key_heads = 2,
                  .head_dim = 5,
                  .documents = Documents::single(23),
                  .mask = Mask::causal()};
  if (name == "window") problem.mask = Mask::window(6, 2);
  if (name == "documents") problem.documents = Documents::packed({0, 9, 10, 10, 23});
  if (name == "cross") problem.documents = Documents::packed({0, 7, 12}, {0, 19, 30});
  if (name == "critical") problem.logit_scale = LogitScale::critical(0.3);
  if (name == "table") problem.logit_scale = LogitScale::table();
  auto whole = random_problem<double>(problem, 11);
  if (name == "sinks") whole.sink = {0.5, -infinity, 3.0, -2.0};
  return whole;
}

constexpr const char* features[] = {"causal",   "window", "documents", "cross",
                                    "critical", "table",  "sinks"};

struct Ranks {
  int count;
  Sharding sharding;
};
constexpr Ranks worlds[] = {{1, Sharding::contiguous},
                            {3, Sharding::zigzag},
                            {5, Sharding::balanced},
                            {8, Sharding::striped}};

/// The statistics with all logits times beta.
Outputs<double> measure(WholeProblem<double> whole, double beta, const Ranks& ranks,
                        std::string_view backend) {
  const auto& problem = whole.problem;
  whole.gain.assign(static_cast<std::size_t>(problem.query_heads), beta);
  const auto& kernel = kernels::find_backend(backend, DataType::float64);
  return attend_by_ranks(whole, ranks.count, ranks.sharding, kernel);
}

/// Calls visit(i, h) for every row that sees something.
template <class Visit>
void for_each_seeing_row(const Outputs<double>& outputs, Visit visit) {
  for (Index i = 0; i < outputs.lse.rows; ++i) {
    for (Index h = 0; h < outputs.lse.heads; ++h) {
      if (!std::isinf(outputs.lse.at(i, h, 0))) visit(i, h);
    }
  }
}

/// p_sink times its logit, 0 without one.
double sink_term(const WholeProblem<double>& whole, Index h, double lse) {
  if (whole.sink.empty()) return 0;
  const double sink = whole.sink[static_cast<std::size_t>(h)];
  return std::isinf(sink) ? 0 : std::exp(sink - lse) * sink;
}

/// Calls check(whole, ranks, backend) for everything with everything.
template <class Check>
void for_all(Check check) {
  for (const auto* feature : features) {
    const auto whole = problem_with(feature);
    for (const auto& ranks : worlds) {
      for (const auto backend : kernels::backend_names(DeviceKind::cpu)) {
        SCOPED_TRACE(std::string(feature) + ", P = " + std::to_string(ranks.count) + ", " +
                     std::string(backend));
        check(whole, ranks, backend);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(StatisticsIdentities, DerivativesByTheSoftmaxStrength) {
  constexpr double beta = 0.8;
  // Fourth order: what is cut off is about h^4 |x|^6 = 1e-7 for |x| = 8, and rounding gives
  // 1e-15 / h^2 = 1e-11.
  constexpr double h = 5e-3;
  for_all([&](const WholeProblem<double>& whole, const Ranks& ranks, std::string_view backend) {
    std::vector<Outputs<double>> at;
    for (const int step : {-2, -1, 0, 1, 2}) {
      at.push_back(measure(whole, beta + step * h, ranks, backend));
    }
    for_each_seeing_row(at[2], [&](Index i, Index head) {
      const auto lse = [&](std::size_t k) { return at[k].lse.at(i, head, 0); };
      const auto entropy = [&](std::size_t k) { return at[k].statistic("entropy").at(i, head, 0); };
      const auto slope = [&](auto f) { return (8 * (f(3) - f(1)) - (f(4) - f(0))) / (12 * h); };
      const double curvature =
          (16 * (lse(3) + lse(1)) - (lse(4) + lse(0)) - 30 * lse(2)) / (12 * h * h);
      const double mean = (lse(2) - entropy(2) - sink_term(whole, head, lse(2))) / beta;
      EXPECT_NEAR(slope(lse), mean, 1e-6);
      if (whole.sink.empty()) {
        EXPECT_NEAR(slope(entropy), -beta * curvature, 1e-5);
      }
    });
  });
}

// With v = k, out is the mean key, and the mean logit one product with it.
TEST(StatisticsIdentities, EntropyThroughTheMeanKey) {
  constexpr double beta = 0.8;
  for_all([&](const WholeProblem<double>& given, const Ranks& ranks, std::string_view backend) {
    auto whole = given;
    whole.v = whole.k;
    const auto& problem = whole.problem;
    const auto outputs = measure(whole, beta, ranks, backend);
    const double base = problem.logit_scale.base(problem.head_dim);
    for (Index document = 0; document < problem.documents.count(); ++document) {
      for (Index row = 0; row < problem.documents.query_length(document); ++row) {
        const Index i = problem.documents.query_offset(document) + row;
        const double own =
            problem.logit_scale.beta(place_of(problem, document, row), problem.head_dim);
        for (Index h = 0; h < problem.query_heads; ++h) {
          const double lse = outputs.lse.at(i, h, 0);
          if (std::isinf(lse)) continue;
          const auto at = static_cast<std::size_t>(i * problem.query_heads + h);
          const double scale = beta * base * (whole.table.empty() ? own : whole.table[at]);
          double mean = 0;
          for (Index c = 0; c < problem.head_dim; ++c) {
            mean += scale * whole.q.at(i, h, c) * outputs.out.at(i, h, c);
          }
          EXPECT_NEAR(outputs.statistic("entropy").at(i, h, 0),
                      lse - mean - sink_term(whole, h, lse), 1e-12 * (1 + std::abs(lse)));
        }
      }
    }
  });
}

// H = Sum_r P_r H_r - Sum_r P_r ln P_r, where rank r's keys alone have lse_r and H_r, and
// P_r = e^(lse_r - lse).
TEST(StatisticsIdentities, EntropyOfTheWholeFromTheShards) {
  Problem problem{
      .query_heads = 4, .key_heads = 2, .head_dim = 5, .documents = Documents::single(23)};
  auto whole = random_problem<double>(problem, 11);
  for (const auto& ranks : worlds) {
    const auto all = measure(whole, 1, ranks, "cpu");
    const auto plan = make_plan(problem, {.ranks = ranks.count}, {.sharding = ranks.sharding});
    Tensor<double> entropy(23, 4, 1);
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      const auto rows = packed_rows(plan.key_shard(rank), problem.documents.key_offsets());
      WholeProblem<double> part{.problem = problem,
                                .q = whole.q,
                                .k = take_rows(whole.k, rows),
                                .v = take_rows(whole.v, rows),
                                .gain = {},
                                .sink = {},
                                .table = {}};
      part.problem.documents = Documents::single(23, static_cast<Index>(rows.size()));
      const auto alone = direct(part);
      for_each_seeing_row(alone, [&](Index i, Index h) {
        const double log_share = alone.lse.at(i, h, 0) - all.lse.at(i, h, 0);
        entropy.at(i, h, 0) +=
            std::exp(log_share) * (alone.statistic("entropy").at(i, h, 0) - log_share);
      });
    }
    EXPECT_TRUE(all_close("entropy", all.statistic("entropy").values, entropy.values, 1e-13));
  }
}

// Renyi entropies fall with their order: ln n >= H >= -ln Sum p^2 >= -ln max p.
TEST(StatisticsIdentities, RenyiEntropiesAreOrdered) {
  constexpr double rounding = 1 + 1e-13;
  for_all([&](const WholeProblem<double>& whole, const Ranks& ranks, std::string_view backend) {
    for (const double beta : {-1.0, 0.0, 0.8, 30.0}) {
      const auto outputs = measure(whole, beta, ranks, backend);
      for_each_seeing_row(outputs, [&](Index i, Index h) {
        const auto statistic = [&](std::string_view name) {
          return outputs.statistic(name).at(i, h, 0);
        };
        const double lse = outputs.lse.at(i, h, 0);
        const double keys =
            static_cast<double>(whole.problem.documents.keys()) + (whole.sink.empty() ? 0 : 1);
        EXPECT_NEAR(statistic("effective_keys"), std::exp(statistic("entropy")),
                    1e-13 * statistic("effective_keys"));
        EXPECT_LE(statistic("effective_keys"), keys * rounding);
        EXPECT_LE(statistic("participation"), statistic("effective_keys") * rounding);
        EXPECT_LE(1 / statistic("max_probability"), statistic("participation") * rounding);
        EXPECT_GE(1 / statistic("max_probability"), 1 / rounding);
        EXPECT_NEAR(statistic("max_probability"), std::exp(statistic("max_logit") - lse), 1e-12);
        EXPECT_LE(statistic("self_probability"), statistic("max_probability") * rounding);
      });
    }
  });
}

}  // namespace
}  // namespace annulus::test
