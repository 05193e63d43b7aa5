// The attention of a study on the model of a GPU, whose ranks share a node.
#include <cmath>

#include <gtest/gtest.h>

#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cpu.hpp"
#include "studies/layer.hpp"
#include "support/gpu_under_test.hpp"

namespace annulus::studies {
namespace {

TEST(LayerOnGpu, IsThatOfTheCpu) {
  constexpr Index n = 29;
  constexpr Index d = 6;
  const auto run = [&](const kernels::Kernel& kernel, int ranks) {
    std::vector<double> out(static_cast<std::size_t>(n * d));
    RowStatistics means;
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      const auto rows = rows_of_rank(n, communicator);
      LocalRows y{.dim = d, .values = {}};
      for (const Index row : rows) {
        for (Index c = 0; c < d; ++c) {
          y.values.push_back(std::sin(static_cast<double>(7 * row + 3 * c)));
        }
      }
      const auto attended =
          attend({communicator, kernel, 1}, DataType::float32, n, n, 1.5, y, y, y);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t c = 0; c < d; ++c) {
          out[static_cast<std::size_t>(rows[i] * d) + c] = attended.out.values[i * d + c];
        }
      }
      if (communicator.rank() == 0) means = attended.means;
    });
    return std::pair(out, means);
  };
  const auto [expected, expected_means] = run(kernels::cpu(), 1);
  for (const auto* kernel : test::gpus_under_test()) {
    for (const int ranks : {1, 3}) {
      const auto [got, means] = run(*kernel, ranks);
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected[i], 16 * n * 0x1p-24) << i;
      }
      EXPECT_NEAR(means["entropy"], expected_means["entropy"], 16 * n * 0x1p-24);
      EXPECT_NEAR(means["self_probability"], expected_means["self_probability"], 16 * n * 0x1p-24);
    }
  }
}

}  // namespace
}  // namespace annulus::studies
