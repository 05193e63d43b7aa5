// The pipeline of copies alone, for more stages than any kernel has so far.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/device/tile_walk.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

constexpr int threads = 64;

/// Visits of 5, 1 and 12 rows, which 4 columns cut into 2, 1 and 3 steps.
const std::vector<gpu::TileVisit> visits{{.row = 100, .count = 9, .seen = {2, 7}},
                                         {.row = 200, .count = 9, .seen = {0, 1}},
                                         {.row = 300, .count = 12, .seen = {0, 12}}};
const gpu::TileWork work{.row = 0, .rows = 1, .first_visit = 0, .visits = 3};
const gpu::DeviceTileList tiles{.work = &work, .visits = visits.data(), .count = 1};

/// What a thread saw of a step.
struct Seen {
  int head;
  int row;
  int count;
  float number;  ///< that another warp copied

  friend bool operator==(const Seen&, const Seen&) = default;
};

/// The same of what was copied for it.
Seen seen_at(const gpu::StepPlace& step, std::size_t number) {
  return {step.head, step.row, std::min(4, step.left), static_cast<float>(number)};
}

std::vector<Seen> expected_for(int heads) {
  std::vector<Seen> steps;
  float step = 0;
  for (int head = 7; head < 7 + heads; ++head) {
    for (const auto& [row, count] : std::vector<std::pair<int, int>>{
             {102, 4}, {106, 1}, {200, 1}, {300, 4}, {304, 4}, {308, 4}}) {
      steps.push_back({head, row, count, step++});
    }
  }
  return steps;
}

/// Steps after which a panel ends: every `panel`, and the last.
std::vector<std::size_t> ends_of_panels(std::size_t steps, std::size_t panel) {
  std::vector<std::size_t> ends;
  for (std::size_t end = panel; end < steps; end += panel) ends.push_back(end);
  ends.push_back(steps);
  return ends;
}

template <int stages, int panel>
void expect_every_step_in_order(int heads) {
  std::vector<float> numbers(64);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  for (const Schedule& schedule :
       {Schedule{LaneOrder::forward}, {LaneOrder::backward}, {LaneOrder::shuffled, 1}}) {
    std::vector<std::vector<Seen>> seen(threads);
    std::vector<std::vector<Seen>> places(threads);
    std::vector<std::vector<std::size_t>> ends(threads);
    run_blocks({.threads = threads, .shared_bytes = 4 * threads * stages}, schedule, [&] {
      const int self = gpu::thread_index();
      const auto place = [](int stage, int thread) {
        return static_cast<gpu::SharedOffset>(4 * (threads * stage + thread));
      };
      std::size_t loaded = 0;
      const auto load = [&](const gpu::StepPlace& step, int stage) {
        places[static_cast<std::size_t>(self)].push_back(seen_at(step, loaded));
        gpu::cp_async<4>(place(stage, self), &numbers[loaded++], 4);
      };
      const auto compute = [&](const gpu::GroupWalk<4>& walk, int stage) {
        const auto number = gpu::load_shared<gpu::Vector<1>>(place(stage, (self + 32) % threads));
        seen[static_cast<std::size_t>(self)].push_back(
            {walk.head(), walk.row(), walk.count(), number.at[0]});
      };
      const auto end_panel = [&] {
        const auto thread = static_cast<std::size_t>(self);
        ends[thread].push_back(seen[thread].size());
      };
      gpu::stream<stages, panel>(gpu::GroupWalk<4>(tiles, work, 7, heads), load, compute,
                                 end_panel);
    });
    const auto expected = expected_for(heads);
    for (const auto& steps : seen) EXPECT_EQ(steps, expected);
    for (const auto& steps : places) EXPECT_EQ(steps, expected);
    for (const auto& steps : ends) EXPECT_EQ(steps, ends_of_panels(expected.size(), panel));
  }
}

/// The first tile of a step holds its number, the second one 32 more.
template <int panel>
void expect_both_tiles_in_order(int heads) {
  std::vector<float> numbers(64);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  for (const auto& schedule : model_schedules) {
    std::array<std::vector<std::vector<Seen>>, 2> seen;
    seen.fill(std::vector<std::vector<Seen>>(threads));
    auto places = seen;
    std::vector<std::vector<std::size_t>> ends(threads);
    run_blocks({.threads = threads, .shared_bytes = 4 * threads * 2}, schedule, [&] {
      const int self = gpu::thread_index();
      std::array<std::size_t, 2> loaded{0, 32};
      const auto place = [](std::size_t tile, int thread) {
        return static_cast<gpu::SharedOffset>(4 * (threads * static_cast<int>(tile) + thread));
      };
      const auto load = [&](std::size_t tile) {
        return [&, tile](const gpu::StepPlace& step) {
          places[tile][static_cast<std::size_t>(self)].push_back(
              seen_at(step, loaded[tile] - 32 * tile));
          gpu::cp_async<4>(place(tile, self), &numbers[loaded[tile]++], 4);
        };
      };
      const auto use = [&](std::size_t tile) {
        return [&, tile](const gpu::GroupWalk<4>& walk) {
          const auto number = gpu::load_shared<gpu::Vector<1>>(place(tile, (self + 32) % threads));
          seen[tile][static_cast<std::size_t>(self)].push_back(
              {walk.head(), walk.row(), walk.count(),
               number.at[0] - 32 * static_cast<float>(tile)});
        };
      };
      const auto end_panel = [&] {
        const auto thread = static_cast<std::size_t>(self);
        ends[thread].push_back(seen[1][thread].size());
      };
      gpu::stream_apart<panel>(gpu::GroupWalk<4>(tiles, work, 7, heads), load(0), load(1), use(0),
                               use(1), end_panel);
    });
    const auto expected = expected_for(heads);
    for (const auto& all : {seen, places}) {
      for (const auto& of_tile : all) {
        for (const auto& steps : of_tile) EXPECT_EQ(steps, expected);
      }
    }
    for (const auto& steps : ends) EXPECT_EQ(steps, ends_of_panels(expected.size(), panel));
  }
}

TEST(CudaPipeline, BringsEveryStepInOrderWhateverTheStagesAndPanels) {
  for (const int heads : {1, 3}) {
    expect_every_step_in_order<2, 2>(heads);
    expect_every_step_in_order<2, 4>(heads);
    expect_every_step_in_order<3, 6>(heads);
    expect_every_step_in_order<4, 64>(heads);
  }
}

TEST(CudaPipeline, BringsBothTilesOfEveryStepInOrder) {
  for (const int heads : {1, 3}) {
    expect_both_tiles_in_order<1>(heads);
    expect_both_tiles_in_order<4>(heads);
    expect_both_tiles_in_order<64>(heads);
  }
}

}  // namespace
}  // namespace annulus::test
