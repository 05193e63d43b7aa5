// That the model of a GPU sees what goes wrong where thread blocks wait for one another, and that
// sums of queries that several of them add to go the way that they should.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/device/step_sums.hpp"
#include "kernels/cuda/device/step_turns.hpp"
#include "kernels/cuda/kernel_under_test.hpp"
#include "kernels/cuda/work_order.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// What blocks that take turns leave out or do otherwise.
struct Fault {
  bool no_ticket = false;
  bool no_wait = false;
  bool no_meeting = false;
  bool no_fence = false;
  bool no_fence_after_look = false;
};

/// Device memory of a launch: a sum for each lane of two warps, and a count for each warp.
struct Memory {
  std::uint32_t tickets = 0;
  std::array<std::uint32_t, 2> counts{};
  std::array<float, 64> sums{};
  std::vector<std::array<int, 2>> order{};  ///< tickets and warps, as they added
};

constexpr int blocks = 7;

/// A block adds to all sums, each lane of a warp to one of another lane.
void add_in_turn_of(Memory& memory, int ticket, const Fault& fault) {
  const auto warp = static_cast<std::size_t>(gpu::warp_index());
  auto* count = &memory.counts[warp];
  if (!fault.no_wait) gpu::wait_for(count, static_cast<std::uint32_t>(ticket));
  if (!fault.no_fence_after_look) gpu::fence_device();
  const int lane = (gpu::lane_index() + ticket) % 32;
  gpu::add_global(&memory.sums[warp * 32 + static_cast<std::size_t>(lane)], 1.0F);
  if (gpu::lane_index() == 0) memory.order.push_back({ticket, gpu::warp_index()});
  if (!fault.no_meeting) gpu::sync_warp();
  if (!fault.no_fence) gpu::fence_device();
  if (gpu::lane_index() == 0) gpu::raise(count);
}

void add_in_turn(Memory& memory, const Fault& fault) {
  const int ticket = fault.no_ticket ? gpu::block_x() : gpu::ticket_of_block(&memory.tickets, 0);
  add_in_turn_of(memory, ticket, fault);
}

Memory run(const Schedule& schedule, const Fault& fault = {}) {
  Memory memory;
  run_blocks({.blocks_x = blocks, .threads = 64, .shared_bytes = 16, .together = true}, schedule,
             [&] { add_in_turn(memory, fault); });
  return memory;
}

TEST(CudaTurns, AreTakenInTheOrderOfTicketsWhateverTheSchedule) {
  for (const auto& schedule : model_schedules) {
    const auto memory = run(schedule);
    for (const float sum : memory.sums) EXPECT_EQ(sum, blocks);
    EXPECT_EQ(memory.tickets, static_cast<std::uint32_t>(blocks));
    std::array<int, 2> next{};
    for (const auto& [ticket, warp] : memory.order) {
      EXPECT_EQ(ticket, next[static_cast<std::size_t>(warp)]++);
    }
  }
}

/// Who comes first decides, unless they wait.
TEST(CudaTurns, BlocksRunSideBySide) {
  std::vector<int> tickets;
  run_blocks({.blocks_x = 3, .threads = 64, .shared_bytes = 16, .together = true},
             {LaneOrder::backward}, [&, shared = std::uint32_t{0}]() mutable {
               const int ticket = gpu::ticket_of_block(&shared, 0);
               gpu::sync_threads();
               if (gpu::thread_index() == 0) tickets.push_back(ticket);
             });
  EXPECT_EQ(tickets, (std::vector{2, 1, 0}));
}

void expect_seen(const Fault& fault) {
  for (const auto& schedule : model_schedules) EXPECT_THROW(run(schedule, fault), Error);
}

TEST(CudaTurns, AMissingMeetingOrFenceIsAnErrorWhateverTheSchedule) {
  expect_seen({.no_meeting = true});
  expect_seen({.no_fence = true});
  expect_seen({.no_fence_after_look = true});
  expect_seen({.no_wait = true});
}

/// Blocks that add once for each item, one after another: those that they have tickets for, or that
/// are dealt out to them before they start.
Memory run_rounds(const Schedule& schedule, bool dealt_out) {
  constexpr int items = 3 * blocks - 2;
  Memory memory;
  run_blocks({.blocks_x = blocks, .threads = 64, .shared_bytes = 16, .together = true}, schedule,
             [&] {
               const gpu::WorkOrder order{.blocks = blocks, .heads = 1, .count = items};
               for (int round = 0;; ++round) {
                 const int item = dealt_out ? order.item(round, gpu::block_x())
                                            : gpu::ticket_of_block(&memory.tickets, 0);
                 if (item >= items) return;
                 add_in_turn_of(memory, item, {});
                 gpu::sync_threads();
               }
             });
  return memory;
}

TEST(CudaTurns, AreTakenByBlocksThatGoOnToTheNextTicket) {
  for (const auto& schedule : model_schedules) {
    for (const float sum : run_rounds(schedule, false).sums) EXPECT_EQ(sum, 3 * blocks - 2);
    EXPECT_THROW(run_rounds(schedule, true), Error) << "an item of a block that has not started";
  }
}

TEST(CudaTurns, WaitingForABlockThatHasNotStartedHangs) {
  EXPECT_THROW(run({LaneOrder::backward}, {.no_ticket = true}), Error);
  EXPECT_NO_THROW(run({LaneOrder::forward}, {.no_ticket = true}));
}

// At the end of a panel, and in the first step of the next one.
TEST(CudaTurns, EndOnce) {
  std::array<std::uint32_t, 2> counts{};
  run_blocks({.threads = 32, .together = true}, {}, [&] {
    gpu::StepTurns turns;
    for (int step = 0; step < 2; ++step) {
      turns.look(counts.data(), step);
      turns.end_last(counts.data(), 0);
      turns.wait(counts.data(), step, 0);
      turns.end_last(counts.data(), 0);
    }
  });
  EXPECT_EQ(counts, (std::array{1U, 1U}));
}

TEST(CudaTurns, WhatAnotherWarpWroteIsNaNBeforeAllHaveMet) {
  for (const auto& schedule : model_schedules) {
    for (const bool meets : {false, true}) {
      run_blocks({.threads = 64, .shared_bytes = 256}, schedule, [&] {
        const auto at = [](int thread) { return static_cast<gpu::SharedOffset>(4 * thread); };
        gpu::store_shared(at(gpu::thread_index()), 0);
        if (meets) gpu::sync_threads();
        const auto other = at((gpu::thread_index() + 32) % 64);
        const float number = gpu::load_shared<gpu::Vector<1>>(other).at[0];
        EXPECT_EQ(std::isnan(number), !meets);
      });
    }
  }
}

template <class Sums, int dim>
void expect_every_number_once() {
  std::vector<int> times(static_cast<std::size_t>(Sums::numbers));
  for (int at = 0; at < Sums::numbers; ++at) {
    const auto [row, column] = Sums::place_of(at);
    ++times[static_cast<std::size_t>(row * dim + column)];
  }
  EXPECT_EQ(times, std::vector(times.size(), 1));
}

TEST(CudaTurns, SumsOfAStepHaveAPlaceForEveryNumber) {
  expect_every_number_once<gpu::LaneStepSums<64>, 64>();
  expect_every_number_once<gpu::LaneStepSums<96>, 96>();
  expect_every_number_once<gpu::LaneStepSums<128>, 128>();
  expect_every_number_once<gpu::OwnerStepSums<64>, 64>();
  expect_every_number_once<gpu::OwnerStepSums<128>, 128>();
}

/// Number i of a lane lies where place_of says that its row and column are.
template <class Sums>
void expect_places_of_lanes(int together) {
  for (int warp = 0; warp < Sums::warp_count; ++warp) {
    for (int lane = 0; lane < gpu::warp_lanes; ++lane) {
      for (int i = 0; i < Sums::lane_numbers; ++i) {
        const int further = i / together * together * gpu::warp_lanes + i % together;
        const auto [row, column] = Sums::place_of(Sums::first(warp, lane) + further);
        EXPECT_EQ(row, Sums::first_row(warp) + lane / 4 + i / 2 % 2 * 8);
        EXPECT_EQ(column, Sums::first_column(warp) + i / 4 * 8 + lane % 4 * 2 + i % 2);
      }
    }
  }
}

TEST(CudaTurns, SumsOfLanesLieWhereTheirRowsAndColumnsAre) {
  expect_places_of_lanes<gpu::LaneStepSums<64>>(1);
  expect_places_of_lanes<gpu::LaneStepSums<128>>(1);
  expect_places_of_lanes<gpu::OwnerStepSums<64>>(4);
  expect_places_of_lanes<gpu::OwnerStepSums<128>>(4);
}

/// Kernels whose blocks wait for one another, of a backward pass on a device with so much shared
/// memory for a block.
template <class T>
Index kernels_in_turns(Index head_dim, const gpu::Multiprocessors& memory,
                       const std::vector<Index>& documents = {0, 60, 75}, Index query_heads = 2,
                       const gpu::KernelWish& wish = {}, const Mask& mask = Mask::full()) {
  const Problem problem{.query_heads = query_heads,
                        .key_heads = 1,
                        .head_dim = head_dim,
                        .documents = Documents::packed(documents),
                        .mask = mask};
  const ModelLauncher launcher({}, Order::early, memory);
  const gpu::GpuKernel kernel(launcher, wish);
  const auto whole = random_problem<T>(problem, 8);
  static_cast<void>(gradients_by(kernel, whole, random_dout<T>(problem)));
  return launcher.launches_together();
}

TEST(CudaTurns, AreTakenWhereADeviceHasTheSharedMemory) {
  EXPECT_EQ(kernels_in_turns<BFloat16>(64, small_shared_memory), 1);
  EXPECT_EQ(kernels_in_turns<Float16>(64, least_shared_memory), 0);
  EXPECT_EQ(kernels_in_turns<BFloat16>(128, large_shared_memory), 1);
  EXPECT_EQ(kernels_in_turns<BFloat16>(128, small_shared_memory), 0);
  EXPECT_EQ(kernels_in_turns<BFloat16>(129, large_shared_memory), 0);
  EXPECT_EQ(kernels_in_turns<float>(64, large_shared_memory), 0);
}

TEST(CudaTurns, AreTakenOnHopperWhereADeviceHasTheSharedMemory) {
  const auto kernels = []<class T>(Index head_dim, const gpu::Multiprocessors& memory) {
    return kernels_in_turns<T>(head_dim, memory, {0, 60, 75}, 2, {.path = gpu::KernelPath::hopper});
  };
  EXPECT_EQ(kernels.operator()<BFloat16>(64, large_shared_memory), 1);
  EXPECT_EQ(kernels.operator()<Float16>(128, large_shared_memory), 1);
  EXPECT_EQ(kernels.operator()<BFloat16>(64, small_shared_memory), 0);
  EXPECT_EQ(kernels.operator()<Float16>(129, large_shared_memory), 0);
  EXPECT_EQ(kernels.operator()<float>(64, large_shared_memory), 0);
}

// Tiles of one head that all start at once, three of them.
TEST(CudaTurns, AreNotTakenWhereAllWouldWait) {
  const auto kernels = [](const gpu::Multiprocessors& device, const Mask& mask, bool in_order) {
    return kernels_in_turns<BFloat16>(64, device, {0, 384}, 1, {.in_order = in_order}, mask);
  };
  EXPECT_EQ(kernels(many_multiprocessors, Mask::causal(), true), 0);
  EXPECT_EQ(kernels(many_multiprocessors, Mask::causal(), false), 1);
  EXPECT_EQ(kernels(large_shared_memory, Mask::causal(), true), 1);
  EXPECT_EQ(kernels(many_multiprocessors, Mask::full(), true), 1) << "all begin with one step";
}

/// What tiles add to the same queries without an order: as exact, whatever the schedule, and
/// nothing that another adds is lost or waited for.
template <class T>
void expect_gradients_in_any_order(gpu::KernelPath path, Index head_dim) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = head_dim,
                        .documents = Documents::single(411),
                        .mask = Mask::window(250, 20)};
  const auto whole = random_problem<T>(problem, 8);
  const auto dout = random_dout<T>(problem);
  const auto exact = direct_gradients_of(whole, dout);
  const auto in_order = gradients_by(*open_cuda({}, {.path = path}), whole, dout);
  const auto bound = 2 * largest_error(in_order.dq, exact.dq);
  auto device = large_shared_memory;
  device.count = 3;
  bool has_other_bits = false;
  for (const auto& schedule : model_schedules) {
    const auto got = gradients_by(*open_cuda(schedule, {path, false}, device), whole, dout);
    EXPECT_LE(largest_error(got.dq, exact.dq), bound);
    EXPECT_EQ(got.dk.values, in_order.dk.values);
    EXPECT_EQ(got.dv.values, in_order.dv.values);
    has_other_bits |= got.dq.values != in_order.dq.values;
  }
  EXPECT_TRUE(has_other_bits) << "an order all the same";
}

TEST(CudaTurns, AreNotTakenWhereAnyOrderWillDo) {
  expect_gradients_in_any_order<BFloat16>(gpu::KernelPath::mma, 64);
  expect_gradients_in_any_order<Float16>(gpu::KernelPath::mma, 128);
}

TEST(HopperTurns, AreNotTakenWhereAnyOrderWillDo) {
  expect_gradients_in_any_order<BFloat16>(gpu::KernelPath::hopper, 64);
  expect_gradients_in_any_order<Float16>(gpu::KernelPath::hopper, 128);
}

TEST(CudaTurns, NeedSomethingThatMeets) {
  const Block hidden{.queries = {.position = 0, .stride = 1, .count = 5},
                     .keys = {.position = 5, .stride = 1, .count = 5},
                     .mask = Mask::causal()};
  EXPECT_FALSE(gpu::turn_tiles(std::vector{hidden}, 128, 32).has_value());
}

/// Logits of -160 and less, of which each query has 70: fewer keys than a tile.
template <class T>
void expect_gradients_where_logits_are_low() {
  const Problem problem{
      .query_heads = 1, .key_heads = 1, .head_dim = 64, .documents = Documents::single(70)};
  auto whole = random_problem<T>(problem, 8);
  for (auto& q : whole.q.values) q = T(4 + 0.25 * static_cast<double>(q));
  for (auto& k : whole.k.values) k = T(-5 + 0.25 * static_cast<double>(k));
  const auto dout = random_dout<T>(problem);
  const auto exact = direct_gradients_of(whole, dout);
  for (const auto path : {gpu::KernelPath::mma, gpu::KernelPath::hopper}) {
    for (const auto& memory : {large_shared_memory, least_shared_memory}) {
      const ModelLauncher launcher({}, Order::early, memory);
      const gpu::GpuKernel kernel(launcher, {.path = path});
      const auto got = gradients_by(kernel, whole, dout);
      const double most = 0.03 * largest_element(exact.dq);
      EXPECT_TRUE(all_close("dq", got.dq.values, exact.dq.values, most));
    }
  }
}

// Keys past the end of a tile are zeros, whose logits of 0 would then be all of the softmax.
TEST(CudaTurns, KeysPastTheEndHaveNoPartInTheGradientsOfQueries) {
  expect_gradients_where_logits_are_low<BFloat16>();
  expect_gradients_where_logits_are_low<Float16>();
}

TEST(CudaTurns, AreNotTakenWhereStepsHaveHardlyRows) {
  std::vector<Index> short_documents(50);
  std::iota(short_documents.begin(), short_documents.end(), 0);
  EXPECT_EQ(kernels_in_turns<BFloat16>(64, large_shared_memory, short_documents), 0);
}

// 132 multiprocessors with two blocks each, as of compute capability 9.0.
TEST(CudaTurns, AreTakenWhereTheWaitForThemIsLessThanTheProductsThatTheySave) {
  constexpr int at_once = 264;
  const auto pay = [](Index rows, const Mask& mask, int key_heads, int group) {
    const Block block{.queries = {.stride = 1, .count = rows},
                      .keys = {.stride = 1, .count = rows},
                      .mask = mask};
    const auto tiles = gpu::turn_tiles(std::vector{block}, 128, 64);
    return gpu::turns_pay(tiles.value(), key_heads, group, at_once, 64);
  };
  EXPECT_TRUE(pay(16384, Mask::full(), 16, 1) && pay(16384, Mask::causal(), 16, 1));
  EXPECT_TRUE(pay(16384, Mask::causal(), 8, 4));
  // All tiles of one head run at once.
  EXPECT_FALSE(pay(16384, Mask::full(), 1, 1) || pay(16384, Mask::causal(), 2, 1));
  EXPECT_TRUE(pay(16384, Mask::full(), 2, 16));
  EXPECT_FALSE(pay(2048, Mask::causal(), 16, 1));
  EXPECT_TRUE(pay(256, Mask::causal(), 1, 1)) << "two tiles";
  // A causal step of a zigzag ring, where no mask cuts what meets.
  const auto ring_pays = [](Index queries, Index keys, int of_device) {
    const Block block{.queries = {.stride = 1, .count = queries},
                      .keys = {.stride = 1, .count = keys},
                      .mask = Mask::full()};
    const auto tiles = gpu::turn_tiles(std::vector{block}, 128, 64);
    return gpu::turns_pay(tiles.value(), 16, 1, of_device, 64);
  };
  EXPECT_TRUE(ring_pays(1024, 2048, 132) && ring_pays(2048, 1024, 132));
  EXPECT_FALSE(ring_pays(512, 2048, at_once));
}

TEST(CudaTurns, AreTakenWhereAsManyWarpsRunAtOnce) {
  const auto taken = [](Index dim, int of_block, int of_multiprocessor) {
    return gpu::sums_all_gradients(gpu::choose_kernel(DataType::bfloat16, dim, dim),
                                   {of_block * 1024, of_multiprocessor * 1024});
  };
  // Compute capabilities 8.0, 8.6, 9.0.
  EXPECT_TRUE(taken(64, 163, 164) && taken(64, 99, 100) && taken(64, 227, 228));
  EXPECT_TRUE(!taken(96, 163, 164) && taken(96, 99, 100) && taken(96, 227, 228));
  EXPECT_TRUE(taken(128, 163, 164) && !taken(128, 99, 100) && taken(128, 227, 228));
  auto hopper = gpu::choose_kernel(DataType::bfloat16, 64, 64, gpu::KernelPath::hopper);
  EXPECT_TRUE(gpu::sums_all_gradients(hopper, large_shared_memory));
  EXPECT_FALSE(gpu::sums_all_gradients(hopper, small_shared_memory));
  hopper = gpu::choose_kernel(DataType::bfloat16, 256, 64, gpu::KernelPath::hopper);
  EXPECT_FALSE(gpu::sums_all_gradients(hopper, large_shared_memory));
}

}  // namespace
}  // namespace annulus::test
