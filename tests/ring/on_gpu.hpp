#pragma once
// The whole engine on a GPU, or on the model of one, against the definition: for any number of
// ranks that share the device.

#include <string>

#include <gtest/gtest.h>

#include "support/expect_close.hpp"
#include "support/gpu_under_test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {

/// Sharding changes with the number of ranks, so that all meet.
[[nodiscard]] inline Sharding sharding_for(int ranks) {
  const auto all = all_shardings();
  return all[static_cast<std::size_t>(ranks) % all.size()];
}

/// Ranks on one node, which GPUs make a ring of all the same.
[[nodiscard]] inline Spread spread_for(int ranks) {
  return sharding_for(ranks);
}

template <class T>
void expect_exact(WholeProblem<T> whole, const std::string& what) {
  const auto expected = direct(whole);
  for (const auto* kernel : gpus_under_test()) {
    const auto bounds = bounds_of(whole, *kernel);
    for (const int ranks : rank_counts_of_gpus()) {
      SCOPED_TRACE(what + ", " + std::string(name_of(data_type_of<T>)) +
                   ", P = " + std::to_string(ranks));
      expect_close(attend_by_ranks(whole, ranks, spread_for(ranks), *kernel), expected, bounds);
      if (testing::Test::HasFailure()) return;
    }
  }
}

inline void expect_exact_in_every_type(const Problem& problem, const std::string& what) {
  expect_exact(random_problem<float>(problem, 7), what);
  expect_exact(random_problem<BFloat16>(problem, 8), what);
  expect_exact(random_problem<Float16>(problem, 9), what);
}

template <class T>
void expect_gradients(const WholeProblem<T>& whole, const std::string& what) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  for (const auto* kernel : gpus_under_test()) {
    const auto roundings = kernels::Roundings::of(*kernel, data_type_of<T>);
    const auto bounds = gradient_bounds_of(whole, dout, roundings);
    for (const int ranks : rank_counts_of_gpus()) {
      // Every number of ranks both ways, in one type or another.
      const bool keep = (ranks + static_cast<int>(data_type_of<T>)) % 2 == 0;
      SCOPED_TRACE(what + ", " + std::string(name_of(data_type_of<T>)) +
                   ", P = " + std::to_string(ranks) + (keep ? "" : ", fetched again"));
      expect_close(gradients_by_ranks(whole, dout, ranks, spread_for(ranks), *kernel, keep),
                   expected, bounds, Sharpness::tenth, sharpness_of_parameters(roundings));
      if (testing::Test::HasFailure()) return;
    }
  }
}

inline void expect_gradients_in_every_type(const Problem& problem, const std::string& what) {
  expect_gradients(random_problem<float>(problem, 17), what);
  expect_gradients(random_problem<BFloat16>(problem, 18), what);
  expect_gradients(random_problem<Float16>(problem, 19), what);
}

}  // namespace annulus::test
