// What --device auto is, for whatever ranks see: there need be no GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cuda_gpus.hpp"
#include "annulus/run/device_choice.hpp"

namespace annulus::test {
namespace {

using run::GpuInSight;

constexpr auto honoured = [](DeviceKind) {};
constexpr auto not_by_gpus = [](DeviceKind device) {
  if (device == DeviceKind::cuda) throw InputError("precision fp64");
};

void expect_cpu(const run::GpusInSight& gpus, const run::DeviceTrial& trial,
                const std::string& reason) {
  const auto choice = run::choose_device(gpus, trial);
  EXPECT_EQ(choice.device, DeviceKind::cpu);
  EXPECT_EQ(choice.reason, reason);
}

TEST(DeviceChoice, GpusWhereAllRanksHaveOneAndNothingIsRefused) {
  const auto alone = run::choose_device({.ranks = 1, .seen = 1, .fit = 1}, honoured);
  EXPECT_EQ(alone.device, DeviceKind::cuda);
  EXPECT_EQ(alone.reason, "there is a GPU");
  const auto four = run::choose_device({.ranks = 4, .seen = 4, .fit = 4}, honoured);
  EXPECT_EQ(four.device, DeviceKind::cuda);
  EXPECT_EQ(four.reason, "all 4 ranks see a GPU");
}

TEST(DeviceChoice, TheCpuWithoutAWordWhereNobodySeesAGpu) {
  for (const Index ranks : {1, 7}) {
    expect_cpu({.ranks = ranks}, honoured, "");
    expect_cpu({.ranks = ranks}, not_by_gpus, "");
  }
}

TEST(DeviceChoice, TheCpuWhereSomeRanksSeeNone) {
  expect_cpu({.ranks = 4, .seen = 3, .fit = 3}, honoured, "3 of 4 ranks see a GPU");
  expect_cpu({.ranks = 4, .seen = 1, .fit = 1}, honoured, "1 of 4 ranks sees a GPU");
}

TEST(DeviceChoice, TheCpuWhereKernelsDoNotRunOnSome) {
  expect_cpu(
      {.ranks = 4, .seen = 4, .fit = 2}, honoured,
      "2 of 4 ranks see a GPU of compute capability 8.0 or later that this build has code for");
  expect_cpu({.ranks = 1, .seen = 1, .fit = 0}, honoured,
             "no rank sees a GPU of compute capability 8.0 or later that this build has code for");
}

TEST(DeviceChoice, TheCpuWhereGpusRefuseSomethingElse) {
  expect_cpu({.ranks = 2, .seen = 2, .fit = 2}, not_by_gpus, "precision fp64");
}

// Then no device honours it, and it is an error.
TEST(DeviceChoice, WhatTheCpuRefusesTooIsNoChoice) {
  const auto by_none = [](DeviceKind device) {
    throw InputError(device == DeviceKind::cpu ? "the CPU" : "GPUs");
  };
  try {
    static_cast<void>(run::choose_device({.ranks = 2, .seen = 2, .fit = 2}, by_none));
    FAIL() << "no InputError";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "the CPU");
  }
  // Where there is no choice nothing is tried.
  EXPECT_NO_THROW(
      static_cast<void>(run::choose_device({.ranks = 2, .seen = 1, .fit = 1}, by_none)));
}

GpuProperties of_capability(int major, int minor) {
  GpuProperties gpu;
  gpu.compute_major = major;
  gpu.compute_minor = minor;
  return gpu;
}

TEST(DeviceChoice, KernelsRunOnComputeCapability8AndLater) {
  for (const int major : {5, 7, 8, 9, 12}) {
    EXPECT_EQ(kernels::cuda_problem(of_capability(major, 0), "50;80", "mma").empty(), major >= 8)
        << major;
  }
}

TEST(DeviceChoice, KernelsRunWhereThereIsCodeOrPtxOfThem) {
  struct Case {
    const char* architectures;
    int major, minor;
    bool runs;
  };
  for (const auto& [architectures, major, minor, runs] :
       {Case{"80", 8, 0, true},
        Case{"80", 8, 6, true},
        Case{"80", 9, 0, true},
        Case{"80", 12, 0, true},
        Case{"86", 8, 0, false},
        Case{"80-real", 8, 9, true},
        Case{"80-real", 9, 0, false},
        Case{"86-real", 8, 0, false},
        Case{"90-real", 8, 0, false},
        Case{"80-virtual", 10, 0, true},
        Case{"90-virtual", 8, 9, false},
        Case{"90a-real", 9, 0, true},
        Case{"90a", 10, 0, false},
        Case{"100f", 10, 3, true},
        Case{"100f", 12, 0, false},
        Case{"80-real;90", 8, 6, true},
        Case{"80-real;90", 10, 0, true},
        Case{"80-real;90-real", 10, 0, false},
        Case{"80-real;100-real;120", 10, 3, true},
        Case{"80-real 90-real 80-virtual", 10, 0, true},
        Case{"80-real 90-real", 10, 0, false},
        Case{"80-real;100-real;120", 11, 0, false},
        Case{"all-major", 8, 6, true},
        Case{"", 8, 0, false}}) {
    const auto gpu = of_capability(major, minor);
    EXPECT_EQ(kernels::has_cuda_code(architectures, gpu), runs) << architectures << major << minor;
    const auto problem = kernels::cuda_problem(gpu, architectures, "mma");
    EXPECT_EQ(problem.empty(), runs) << problem;
    if (!runs) {
      EXPECT_NE(problem.find(architectures), std::string::npos) << problem;
    }
  }
}

TEST(DeviceChoice, KernelsForHopperRunOnThatAlone) {
  for (const int major : {8, 9, 10}) {
    const auto problem = kernels::cuda_problem(of_capability(major, 0), "80;90", "hopper");
    EXPECT_EQ(problem.empty(), major == 9) << problem;
    EXPECT_EQ(problem.find("ANNULUS_CUDA=hopper") == std::string::npos, major == 9) << problem;
  }
  EXPECT_FALSE(kernels::cuda_problem(of_capability(9, 1), "80;90", "hopper").empty());
}

// As src/kernels/CMakeLists.txt has it.
TEST(DeviceChoice, KernelsForHopperAreNotInEveryBuild) {
  for (const auto* with : {"90", "90a", "80-real 90-real 80-virtual", "80;90a-real"}) {
    EXPECT_EQ(kernels::cuda_problem(of_capability(9, 0), with, "hopper"), "");
  }
  for (const auto* without : {"80", "80-real;89", "80-real 80-virtual", "all-major"}) {
    EXPECT_EQ(kernels::cuda_problem(of_capability(9, 0), without, "mma"), "");
    const auto problem = kernels::cuda_problem(of_capability(9, 0), without, "hopper");
    EXPECT_NE(problem.find("ANNULUS_CUDA=hopper"), std::string::npos) << problem;
    EXPECT_NE(problem.find(without), std::string::npos) << problem;
  }
}

TEST(DeviceChoice, WhatThisProcessSeesIsWhatCudaSees) {
  EXPECT_EQ(run::gpu_in_sight(0) == GpuInSight::none, visible_gpus().empty());
}

// Every rank tells the others, and all of them come to the same.
TEST(DeviceChoice, IsTheSameOnAllRanks) {
  struct Case {
    std::vector<GpuInSight> own;
    DeviceKind device;
  };
  const auto none = GpuInSight::none;
  const auto unfit = GpuInSight::unfit;
  const auto fit = GpuInSight::fit;
  for (const auto& [own, device] :
       {Case{{none, none, none}, DeviceKind::cpu}, Case{{fit, none, none}, DeviceKind::cpu},
        Case{{none, fit, fit}, DeviceKind::cpu}, Case{{fit, fit, none}, DeviceKind::cpu},
        Case{{fit, unfit, fit}, DeviceKind::cpu}, Case{{fit, fit, fit}, DeviceKind::cuda},
        Case{{fit}, DeviceKind::cuda}}) {
    const auto ranks = static_cast<int>(own.size());
    std::atomic<int> agree = 0;
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      const auto gpus =
          run::gpus_in_sight(communicator, own[static_cast<std::size_t>(communicator.rank())]);
      EXPECT_EQ(gpus.ranks, ranks);
      EXPECT_EQ(gpus.seen, ranks - std::ranges::count(own, none));
      EXPECT_EQ(gpus.fit, std::ranges::count(own, fit));
      agree += run::choose_device(gpus, honoured).device == device ? 1 : 0;
    });
    EXPECT_EQ(agree, ranks);
  }
}

}  // namespace
}  // namespace annulus::test
