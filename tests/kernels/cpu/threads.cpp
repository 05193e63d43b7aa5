// Threads change the time and nothing else; the caller's poll stays on the caller's thread.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/kernel_run.hpp"

namespace annulus::test {
namespace {

const Problem problem{.query_heads = 3,
                      .key_heads = 3,
                      .head_dim = 17,
                      .value_dim = 20,
                      .documents = Documents::single(331),
                      .mask = Mask::causal()};

template <class T>
void expect_same_bits() {
  const auto whole = random_problem<T>(problem, 8);
  KernelRun run{.sharding = Sharding::zigzag, .shards = 4, .by_states = true};
  const auto one = attend_by(kernels::cpu(), whole, run);
  for (const int threads : {2, 3, 7}) {
    run.threads = threads;
    const auto many = attend_by(kernels::cpu(), whole, run);
    EXPECT_EQ(one.out.values, many.out.values) << threads;
    EXPECT_EQ(one.lse.values, many.lse.values) << threads;
    for (std::size_t s = 0; s < one.statistics.size(); ++s) {
      EXPECT_EQ(one.statistics[s].values, many.statistics[s].values) << threads;
    }
  }
}

// As in decode: threads share the keys, whose states merge in one order.
template <class T>
void expect_same_bits_for_few_queries() {
  auto decode = problem;
  decode.query_heads = 6;
  decode.documents = Documents::single(3, 1999);
  const auto whole = random_problem<T>(decode, 8);
  const auto one = attend_by(kernels::cpu(), whole);
  for (const int threads : {2, 3, 7}) {
    const auto many = attend_by(kernels::cpu(), whole, {.threads = threads});
    EXPECT_EQ(one.out.values, many.out.values) << threads;
    for (std::size_t s = 0; s < one.statistics.size(); ++s) {
      EXPECT_EQ(one.statistics[s].values, many.statistics[s].values) << threads;
    }
  }
}

void expect_same_or_nan(const auto& one, const auto& other) {
  EXPECT_TRUE(std::ranges::equal(
      one, other, [](auto a, auto b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
}

template <class T>
void expect_same_bits_of_gradients(const Problem& panels,
                                   const std::vector<int>& counts = {2, 3, 7}) {
  const auto whole = random_problem<T>(panels, 8);
  const auto dout = random_dout<T>(panels);
  KernelRun run{.statistics = false};
  const auto one = gradients_by(kernels::cpu(), whole, dout, run);
  for (const int threads : counts) {
    run.threads = threads;
    const auto many = gradients_by(kernels::cpu(), whole, dout, run);
    EXPECT_EQ(one.dq.values, many.dq.values) << panels.mask.name() << ", " << threads;
    EXPECT_EQ(one.dk.values, many.dk.values) << panels.mask.name() << ", " << threads;
    EXPECT_EQ(one.dv.values, many.dv.values) << panels.mask.name() << ", " << threads;
  }
}

// Three panels a side, the fewest whose sums show their order: of five heads, threads take five,
// four, three or none whole, and share the rounds of the others.
template <class T>
void expect_same_bits_of_gradients(const char* mask,
                                   const Documents& documents = Documents::single(1601),
                                   Index group = 1) {
  expect_same_bits_of_gradients<T>({.query_heads = 5 * group,
                                    .key_heads = 5,
                                    .head_dim = 3,
                                    .documents = documents,
                                    .mask = Mask::parse(mask)});
}

// Rows are written as soon as they have met all their keys, by any thread, from states that are in
// memory or not: rows that the last keys do not concern, and those that see nothing, too.
template <class T>
void expect_same_bits_finished_apart(const Problem& some, KernelRun run, double sink = 0) {
  auto whole = random_problem<T>(some, 8);
  if (sink != 0) whole.sink.assign(static_cast<std::size_t>(some.query_heads), sink);
  run.finish_apart = true;
  const auto apart = attend_by(kernels::cpu(), whole, run);
  run.finish_apart = false;
  for (const int threads : {1, 2, 3, 7}) {
    run.threads = threads;
    const auto together = attend_by(kernels::cpu(), whole, run);
    EXPECT_EQ(apart.out.values, together.out.values) << threads;
    EXPECT_EQ(apart.lse.values, together.lse.values) << threads;
    EXPECT_EQ(apart.lse_low.values, together.lse_low.values) << threads;
    for (std::size_t s = 0; s < apart.statistics.size(); ++s) {
      expect_same_or_nan(apart.statistics[s].values, together.statistics[s].values);
    }
  }
}

TEST(CpuThreads, RowsThatAreWrittenWithTheLastBlocksHaveTheSameBits) {
  const auto long_keys = [](const char* mask, Index queries, Index keys) {
    return Problem{.query_heads = 6,
                   .key_heads = 3,
                   .head_dim = 5,
                   .value_dim = 7,
                   .documents = Documents::single(queries, keys),
                   .mask = Mask::parse(mask)};
  };
  expect_same_bits_finished_apart<float>(long_keys("full", 101, 4999), {});
  expect_same_bits_finished_apart<float>(long_keys("full", 31, 4999), {});  // in steps 0 and 1
  expect_same_bits_finished_apart<double>(long_keys("causal", 2999, 2999), {});
  expect_same_bits_finished_apart<BFloat16>(long_keys("window:300", 997, 997), {});
  // Keys of several calls; the last one concerns some of the rows, or few at a time.
  expect_same_bits_finished_apart<float>(long_keys("causal", 997, 997), {.key_shards = 3});
  expect_same_bits_finished_apart<float>(long_keys("causal", 997, 997),
                                         {.key_shards = 3, .reversed = true});
  expect_same_bits_finished_apart<float>(long_keys("causal", 331, 331), {.key_shards = 4}, 0.5);
  expect_same_bits_finished_apart<float>(long_keys("window:40,2", 331, 331), {}, 0.5);
  expect_same_bits_finished_apart<float>(
      long_keys("causal", 331, 331),
      {.sharding = Sharding::zigzag, .shards = 3, .by_states = true});
  // More queries than keys: the first ones see nothing. Documents of many queries, few and none.
  expect_same_bits_finished_apart<float>(long_keys("causal", 300, 211), {});
  auto packed = long_keys("causal", 1, 1);
  packed.documents = Documents::packed({0, 3, 120, 121, 180}, {0, 400, 500, 500, 570});
  expect_same_bits_finished_apart<float>(packed, {});
  expect_same_bits_finished_apart<double>(packed, {});
}

TEST(CpuThreads, AnyNumberOfThreadsGivesTheSameGradients) {
  expect_same_bits_of_gradients<double>("full");  // fp32 would hide the order of fp64 sums
  expect_same_bits_of_gradients<float>("causal");
  expect_same_bits_of_gradients<BFloat16>("window:900,200");
}

// Who has a head whole packs all of it at once, others the panels of a pair.
TEST(CpuThreads, GradientsOfShortBlocksHaveTheSameBitsPackedAtOnceOrByPanels) {
  expect_same_bits_of_gradients<float>("causal", Documents::single(1009));
  expect_same_bits_of_gradients<double>("full", Documents::single(1009), 2);
  expect_same_bits_of_gradients<BFloat16>("full", Documents::single(1009));
  expect_same_bits_of_gradients<float>("full", Documents::single(331, 1500));
  expect_same_bits_of_gradients<float>("full", Documents::single(1500, 331), 3);
  expect_same_bits_of_gradients<float>("causal", Documents::packed({0, 331, 2000, 2600}));
}

// Queries of many numbers are packed a section at a time by who has their keys whole, which one of
// two threads has not: of one panel or two for the heads that read a key head, or none.
TEST(CpuThreads, GradientsHaveTheSameBitsInSections) {
  const auto wide = [](Index group, Index queries, Index keys, const char* mask) {
    return Problem{.query_heads = group,
                   .key_heads = 1,
                   .head_dim = 256,
                   .documents = Documents::single(queries, keys),
                   .mask = Mask::parse(mask)};
  };
  expect_same_bits_of_gradients<double>(wide(1, 1601, 1601, "window:900,200"), {2});
  expect_same_bits_of_gradients<float>(wide(1, 2309, 1601, "full"), {2});
  expect_same_bits_of_gradients<float>(wide(8, 400, 391, "full"), {2});
  expect_same_bits_of_gradients<BFloat16>(wide(8, 400, 391, "causal"), {2});
  expect_same_bits_of_gradients<float>(wide(40, 97, 97, "causal"), {2});
}

TEST(CpuThreads, AnyNumberOfThreadsGivesTheSameBits) {
  expect_same_bits_for_few_queries<float>();
  expect_same_bits_for_few_queries<double>();
  expect_same_bits<float>();
  expect_same_bits<double>();
  expect_same_bits<BFloat16>();
}

TEST(CpuThreads, PollIsCalledOnTheCallingThreadAlone) {
  const auto whole = random_problem<float>(problem, 8);
  for (const int threads : {1, 2, 3}) {
    std::set<std::thread::id> callers;
    int calls = 0;
    static_cast<void>(attend_by(kernels::cpu(), whole, {.threads = threads, .poll = [&] {
                                                          callers.insert(
                                                              std::this_thread::get_id());
                                                          ++calls;
                                                        }}));
    EXPECT_EQ(callers, std::set{std::this_thread::get_id()}) << threads;
    EXPECT_GE(calls, 1) << threads;
  }
}

TEST(CpuThreads, OneThreadPollsAfterEveryTile) {
  const auto whole = random_problem<float>(problem, 8);
  int calls = 0;
  static_cast<void>(attend_by(kernels::cpu(), whole, {.poll = [&] { ++calls; }}));
  EXPECT_GE(calls, 3 * (331 / 48));
}

// Polls count tiles, so they tell whether the work is that of the visible pairs.
TEST(CpuThreads, HiddenTilesAreNotVisited) {
  constexpr Index length = 9601;  // three panels or more
  constexpr Index least_query_tiles = length / 48;
  const auto polls = [&](const Mask& mask) {
    const auto whole = random_problem<float>(
        {.head_dim = 1, .documents = Documents::single(length), .mask = mask}, 8);
    Index calls = 0;
    static_cast<void>(
        attend_by(kernels::cpu(), whole, {.statistics = false, .poll = [&] { ++calls; }}));
    return calls;
  };
  const Index full = polls(Mask::full());
  EXPECT_GT(full, 3 * least_query_tiles);
  EXPECT_LT(polls(Mask::causal()), full * 2 / 3);
  // Every tile of queries once or, at the end of a panel of keys, twice; and the packing.
  EXPECT_LT(polls(Mask::window(3)), 2 * least_query_tiles);
}

// The caller polls beside heads that other threads have whole, and its exception stops them.
TEST(CpuThreads, AFailureStopsChainsBetweenTheirSteps) {
  for (const int threads : {1, 2}) {
    int polls = 0;
    std::atomic<int> steps = 0;
    const auto poll = [&] {
      if (++polls == 3) throw std::runtime_error("the transfer failed");
    };
    const auto work = [&](Index, Index, int) {
      ++steps;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    EXPECT_THROW(kernels::for_each_step(2, 10'000, threads, poll, work), std::runtime_error);
    EXPECT_EQ(polls, 3);
    EXPECT_LT(steps, 5'000) << threads;
  }
}

// Transfers need the polls: other threads may take chains before the caller comes, or have one left
// when it is done.
TEST(CpuThreads, TheCallerHasAChainAndPollsWhileOthersHaveTheirs) {
  int polls = 0;
  std::set<int> workers;
  std::mutex mutex;
  kernels::for_each_step(
      2, 3, 2, [&] { ++polls; },
      [&](Index chain, Index, int worker) {
        {
          const std::lock_guard lock(mutex);
          if (chain == 0) workers.insert(worker);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(worker == 0 ? 0 : 20));
      });
  EXPECT_EQ(workers, std::set{0});
  // Its own chain takes four polls; the other one's steps take three more of it, or time for many.
  EXPECT_GE(polls, 7);
}

TEST(CpuThreads, StepsOfAChainAreInOrderAndOnOneThread) {
  constexpr Index chains = 7;
  constexpr Index steps = 50;
  std::vector<std::vector<Index>> seen(chains);
  std::vector<std::set<std::thread::id>> threads(chains);
  kernels::for_each_step(chains, steps, 3, {}, [&](Index chain, Index step, int worker) {
    EXPECT_LT(worker, 3);
    seen[static_cast<std::size_t>(chain)].push_back(step);
    threads[static_cast<std::size_t>(chain)].insert(std::this_thread::get_id());
  });
  for (std::size_t chain = 0; chain < chains; ++chain) {
    EXPECT_EQ(std::ssize(seen[chain]), steps);
    EXPECT_TRUE(std::ranges::is_sorted(seen[chain]));
    EXPECT_EQ(threads[chain].size(), 1U);
  }
}

TEST(CpuThreads, AnExceptionOfPollReachesTheCaller) {
  const auto whole = random_problem<float>(problem, 8);
  for (const int threads : {1, 2, 3}) {
    int calls = 0;
    const auto poll = [&] {
      if (++calls == 2) throw std::runtime_error("the transfer failed");
    };
    EXPECT_THROW(
        static_cast<void>(attend_by(kernels::cpu(), whole, {.threads = threads, .poll = poll})),
        std::runtime_error)
        << threads;
    EXPECT_EQ(calls, 2);
  }
}

}  // namespace
}  // namespace annulus::test
