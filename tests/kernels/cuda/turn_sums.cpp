// That sums of queries that stay in fp32 from call to call reach the fp64 sums once, and are zero
// before.
#include "kernels/cuda/turn_sums.hpp"

#include <gtest/gtest.h>

#include "kernels/cuda/kernel_under_test.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

constexpr gpu::KernelChoice choice{.type = DataType::bfloat16, .dim = 64};
constexpr int heads = 2;
constexpr int dim = 40;
constexpr Index rows = 150;

/// Sums on a device whose memory is NaN before it is written.
class Calls {
 public:
  explicit Calls(int most_turns)
      : sums_(launcher_, stream_, choice, heads, dim, most_turns),
        query_sums_(stream_, rows * heads * dim) {
    stream_->clear(query_sums_.data(), query_sums_.bytes());
  }

  [[nodiscard]] gpu::GradientTiles tiles(const std::vector<gpu::StepRows>& steps, int turns) const {
    return {.of_queries = gpu::DeviceTiles(stream_, {}),
            .of_keys = gpu::DeviceTiles(stream_, {}),
            .keys = {},
            .key_panels = false,
            .steps = steps,
            .steps_there = gpu::DeviceArray<gpu::StepRows>(stream_, std::span(steps)),
            .most_turns = turns};
  }

  /// Adds 1 to every sum of the steps.
  void call(const gpu::GradientTiles& tiles) {
    float* const there = sums_.of(tiles, query_sums_.data());
    std::vector<float> here(tiles.steps.size() * heads *
                            static_cast<std::size_t>(gpu::all_gradients_step_rows(choice)) * 64);
    const auto bytes = here.size() * sizeof(float);
    stream_->download(device::RowCopy::of_bytes(here.data(), there, bytes));
    for (float& sum : here) sum += 1;
    stream_->upload(device::RowCopy::of_bytes(there, here.data(), bytes));
  }

  void fold() { sums_.fold(query_sums_.data()); }

  /// What all numbers of a row have been given.
  [[nodiscard]] double of_row(Index row) const {
    std::vector<double> all(static_cast<std::size_t>(rows * heads * dim));
    stream_->download(
        device::RowCopy::of_bytes(all.data(), query_sums_.data(), query_sums_.bytes()));
    const auto first = all.begin() + row * heads * dim;
    EXPECT_EQ(std::vector(first, first + heads * dim), std::vector(heads * dim, *first));
    return *first;
  }
  [[nodiscard]] Index folds() const { return launcher_.folds(); }

 private:
  ModelLauncher launcher_{Schedule{}, Order::late};
  gpu::StreamPointer stream_ = launcher_.open_stream(0);
  gpu::TurnSums sums_;
  gpu::DeviceArray<double> query_sums_;
};

const std::vector<gpu::StepRows> two_steps{{.row = 0, .rows = 64}, {.row = 64, .rows = 19}};
const std::vector<gpu::StepRows> others{{.row = 64, .rows = 19}, {.row = 90, .rows = 60}};

TEST(CudaTurnSums, AreFoldedOnceWhereStepsStayTheSame) {
  Calls calls(100);
  const auto first = calls.tiles(two_steps, 3);
  const auto second = calls.tiles(two_steps, 1);
  for (const auto* tiles : {&first, &second, &first}) calls.call(*tiles);
  EXPECT_EQ(calls.folds(), 0);
  for (int i = 0; i < 2; ++i) {
    calls.fold();
    EXPECT_EQ(calls.folds(), 1) << "nothing is left";
    EXPECT_EQ(calls.of_row(0), 3);
    EXPECT_EQ(calls.of_row(82), 3);
    EXPECT_EQ(calls.of_row(83), 0);
  }
  calls.call(second);
  calls.fold();
  EXPECT_EQ(calls.of_row(0), 4) << "they start from zero again";
}

TEST(CudaTurnSums, AreFoldedBeforeOtherStepsTakeTheirPlace) {
  Calls calls(100);
  const auto first = calls.tiles(two_steps, 3);
  const auto second = calls.tiles(others, 3);
  for (const auto* tiles : {&first, &first, &second, &first}) calls.call(*tiles);
  EXPECT_EQ(calls.folds(), 2);
  calls.fold();
  EXPECT_EQ(calls.folds(), 3);
  EXPECT_EQ(calls.of_row(0), 3);
  EXPECT_EQ(calls.of_row(64), 4);
  EXPECT_EQ(calls.of_row(90), 1);
}

TEST(CudaTurnSums, HaveAtMostSoManyTurns) {
  Calls calls(7);
  const auto three = calls.tiles(two_steps, 3);
  const auto one = calls.tiles(two_steps, 1);
  for (const auto* tiles : {&three, &three, &one}) calls.call(*tiles);
  EXPECT_EQ(calls.folds(), 0) << "7 are allowed";
  calls.call(one);
  EXPECT_EQ(calls.folds(), 1);
  for (const auto* tiles : {&three, &three}) calls.call(*tiles);
  EXPECT_EQ(calls.folds(), 1) << "they count anew";
  calls.call(one);
  EXPECT_EQ(calls.folds(), 2);
  calls.fold();
  EXPECT_EQ(calls.of_row(10), 7);
}

TEST(CudaTurnSums, HaveAsManyTermsAsAPanel) {
  for (const auto path : {gpu::KernelPath::mma, gpu::KernelPath::hopper}) {
    const auto kernel = gpu::choose_kernel(DataType::float16, 64, 64, path);
    EXPECT_EQ(gpu::all_gradients_most_turns(kernel) + gpu::all_gradients_tile_rows(kernel), 4096);
  }
}

/// A pass for each of some shards of queries, which meets the keys in some calls.
void expect_folds(gpu::KernelPath path, const Mask& mask, const KernelRun& run, Index calls,
                  Index folds) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 24,
                        .documents = Documents::single(331),
                        .mask = mask};
  const ModelLauncher launcher({}, Order::late);
  const gpu::GpuKernel kernel(launcher, {.path = path});
  const auto whole = random_problem<BFloat16>(problem, 8);
  const auto dout = random_dout<BFloat16>(problem);
  const auto got = gradients_by(kernel, whole, dout, run);
  EXPECT_EQ(launcher.launches_together(), calls);
  EXPECT_EQ(launcher.folds(), folds);
  expect_close(got, direct_gradients_of(whole, dout), gradient_bounds_of(whole, dout, kernel));
  EXPECT_EQ(got.dq.values, gradients_by(kernel, whole, dout, run).dq.values);
}

TEST(CudaTurnSums, OfAPassAreFoldedOnce) {
  for (const auto path : {gpu::KernelPath::mma, gpu::KernelPath::hopper}) {
    expect_folds(path, Mask::full(), {.key_shards = 5}, 5, 1);
    // Two chunks of queries each, of which one sees nothing of the keys that come after it: as many
    // folds as changes between both and one.
    expect_folds(path, Mask::causal(),
                 {.sharding = Sharding::zigzag, .shards = 3, .reversed = true}, 9, 5);
  }
}

}  // namespace
}  // namespace annulus::test
