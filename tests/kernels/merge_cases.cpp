// The states of every backend: those of parts of the keys, which passes of their own compute, merge
// into what one pass over all keys gives.
#include <array>
#include <string_view>

#include "kernels/kernel_suite.hpp"

namespace annulus::test {
namespace {

/// Keys in two, three and five parts, of which passes of their own compute some.
const std::vector<KernelRun> by_states{
    {.key_shards = 2, .by_states = true},
    {.key_shards = 3, .reversed = true, .by_states = true},
    {.sharding = Sharding::striped, .shards = 5, .by_states = true}};

/// Logits that are integers, exact in every type: z = 100 a + b with a = -100, 0 or 100 by thirds
/// of the keys and b in [-6, 6].
template <class T>
WholeProblem<T> problem_of_integers(const Mask& mask, const std::array<int, 3>& thirds) {
  const Index first = 11;  // rows that see nothing
  const Index keys = 131;
  WholeProblem<T> whole{
      .problem = {.query_heads = 4,
                  .key_heads = 2,
                  .head_dim = 2,
                  .value_dim = 3,
                  .documents = Documents::packed({0, first, first + keys}, {0, 0, keys}),
                  .mask = mask,
                  .logit_scale = LogitScale::parse("none:base=1")},
      .q = {first + keys, 4, 2},
      .k = {keys, 2, 2},
      .v = {keys, 2, 3},
      .gain = {},
      .sink = {0, -std::numeric_limits<double>::infinity(), 1e4, -3},
      .table = {}};
  for (Index i = 0; i < whole.q.rows; ++i) {
    for (Index h = 0; h < 4; ++h) {
      whole.q.at(i, h, 0) = T(100.0F);
      whole.q.at(i, h, 1) = T(static_cast<float>((i + h) % 5 - 2));
    }
  }
  for (Index j = 0; j < keys; ++j) {
    for (Index h = 0; h < 2; ++h) {
      whole.k.at(j, h, 0) =
          T(static_cast<float>(100 * thirds[static_cast<std::size_t>(3 * j / keys)]));
      whole.k.at(j, h, 1) = T(static_cast<float>((j + h) % 7 - 3));
      for (Index c = 0; c < 3; ++c)
        whole.v.at(j, h, c) = T(static_cast<float>((j * 5 + h + c) % 9 - 4));
    }
  }
  return whole;
}

TEST_P(ForwardKernel, StatesOfPartsMerge) {
  for (const auto* mask : {"full", "causal", "window:90,40"}) {
    for_each_type([&]<class T>() {
      auto whole = random_problem<T>({.query_heads = 6,
                                      .key_heads = 3,
                                      .head_dim = 9,
                                      .value_dim = 7,
                                      .documents = Documents::single(131),
                                      .mask = Mask::parse(mask)},
                                     seed<T>(), 3.0);
      whole.sink = {0, 2.5, -std::numeric_limits<double>::infinity(), -40, 1e4, 3};
      expect_outputs(whole, by_states);
    });
  }
}

TEST_P(ForwardKernel, StatesOfFewQueriesAndOfRowsThatSeeNothingMerge) {
  for (const auto& documents : {Documents::single(5, 263), Documents::single(211, 67),
                                Documents::packed({0, 1, 60, 60, 97, 100}, {0, 3, 20, 31, 90, 90}),
                                Documents::packed({0, 20, 40, 60}, {0, 20, 20, 40})}) {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      const Problem problem{
          .query_heads = 2, .key_heads = 2, .head_dim = 8, .documents = documents, .mask = mask};
      expect_outputs(problem, by_states);
      auto without_statistics = by_states;
      for (auto& run : without_statistics) run.statistics = false;
      expect_outputs(problem, without_statistics);
    }
  }
}

// Of logits of 10^4 nothing may be lost: they are exact, and so are maxima. Any order of a sum of n
// positive terms is off by n roundings, e^-12 by twelve, and stored states and merges by a few; as
// by the digits that fp64 has of 10^4.
TEST_P(ForwardKernel, StatesOfExtremeLogitsMerge) {
  for (const auto& thirds : {std::array{1, 0, -1}, std::array{-1, 1, 0}, std::array{0, -1, 1}}) {
    for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(60, 0)}) {
      for_each_type([&]<class T>() {
        SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", " + mask.name());
        auto whole = problem_of_integers<T>(mask, thirds);
        const auto expected = direct(whole);
        const auto roundings = kernels::Roundings::of(kernel(), data_type_of<T>);
        const double few = 12 + 8;
        const double relative =
            (static_cast<double>(whole.k.rows) + few) * roundings.sum + 4e4 * 0x1p-53;
        for (const auto& run : by_states) {
          const auto got = attend_by(kernel(), whole, run);
          EXPECT_TRUE(all_close("out", got.out.values, expected.out.values,
                                4 * (2 * relative + 2 * roundings.factor)));
          std::vector<double> lse;
          for (std::size_t i = 0; i < got.lse.values.size(); ++i) {
            lse.push_back(static_cast<double>(got.lse.values[i]) +
                          static_cast<double>(got.lse_low.values[i]));
          }
          EXPECT_TRUE(all_close("lse and lse_low", lse, expected.lse.values, relative));
          for (std::size_t s = 0; s < row_statistics().size(); ++s) {
            const auto& exact = expected.statistics[s].values;
            const double bound = row_statistics()[s].name == std::string_view("max_logit")
                                     ? 0
                                     : 25 * relative * std::max(1.0, largest_element(exact));
            EXPECT_TRUE(
                all_close(row_statistics()[s].name, got.statistics[s].values, exact, bound));
          }
        }
      });
    }
  }
}

}  // namespace
}  // namespace annulus::test
