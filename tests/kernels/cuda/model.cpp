// That the model of a thread block sees what goes wrong on a GPU, and that its instructions are
// those of the PTX manual.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/device/instructions.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// What threads of one block leave in `out`, one number each.
template <class Body>
std::vector<float> numbers_of(int threads, const Schedule& schedule, Body body) {
  std::vector<float> out(static_cast<std::size_t>(threads));
  run_blocks({.threads = threads, .shared_bytes = 4096}, schedule,
             [&] { out[static_cast<std::size_t>(gpu::thread_index())] = body(); });
  return out;
}

alignas(16) constexpr std::array<float, 256> source = [] {
  std::array<float, 256> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  return numbers;
}();

gpu::SharedOffset place(int index) {
  return static_cast<gpu::SharedOffset>(4 * index);
}

/// Every thread copies one number and reads that of the thread `distance` further on.
float read_copy_of_another(int threads, int distance, bool waits, bool meets) {
  const int self = gpu::thread_index();
  gpu::cp_async<4>(place(self), &source[static_cast<std::size_t>(self)], 4);
  gpu::cp_async_commit();
  if (waits) gpu::cp_async_wait<0>();
  if (meets) gpu::sync_threads();
  const auto number = gpu::load_shared<gpu::Vector<1>>(place((self + distance) % threads)).at[0];
  gpu::sync_threads();
  if (!waits) gpu::cp_async_wait<0>();
  return number;
}

TEST(CudaModel, CopiesArriveWhenTheirThreadHasWaitedAndAllHaveMet) {
  for (const auto& schedule : model_schedules) {
    const auto right =
        numbers_of(128, schedule, [] { return read_copy_of_another(128, 64, true, true); });
    for (std::size_t i = 0; i < 128; ++i) {
      EXPECT_EQ(right[i], static_cast<float>((i + 64) % 128));
    }
  }
}

TEST(CudaModel, ShowsAMissingWait) {
  const auto numbers =
      numbers_of(128, {}, [] { return read_copy_of_another(128, 64, false, true); });
  for (const float number : numbers) EXPECT_TRUE(std::isnan(number));
}

TEST(CudaModel, ShowsAMissingBarrierWhateverTheOrder) {
  for (const auto& schedule : model_schedules) {
    // To the next lane or to another warp.
    for (const int distance : {1, 31, 64}) {
      const auto numbers = numbers_of(
          128, schedule, [&] { return read_copy_of_another(128, distance, true, false); });
      EXPECT_TRUE(std::ranges::any_of(numbers, [](float number) { return std::isnan(number); }));
    }
  }
}

TEST(CudaModel, ShowsABufferThatIsFilledWhileOthersReadIt) {
  for (const auto& schedule : model_schedules) {
    const auto numbers = numbers_of(64, schedule, [] {
      const int self = gpu::thread_index();
      const auto copy = [&](int first) {
        gpu::cp_async<4>(place(self), &source[static_cast<std::size_t>(first + self)], 4);
        gpu::cp_async_commit();
      };
      copy(0);
      gpu::cp_async_wait<0>();
      gpu::sync_threads();
      copy(100);
      const float number = gpu::load_shared<gpu::Vector<1>>(place((self + 32) % 64)).at[0];
      gpu::cp_async_wait<0>();
      return number;
    });
    // NaN, or, where a warp is far ahead, what comes next.
    EXPECT_TRUE(std::ranges::any_of(numbers, [](float number) { return !(number < 64); }));
  }
}

TEST(CudaModel, ACopyOfFewerBytesIsFilledUpWithZeros) {
  const auto numbers = numbers_of(32, {}, [] {
    const int self = gpu::thread_index();
    if (self < 8) gpu::cp_async<16>(place(4 * self), &source[4], self % 5 * 4);
    gpu::cp_async_commit();
    gpu::cp_async_wait<0>();
    gpu::sync_threads();
    return gpu::load_shared<gpu::Vector<1>>(place(self)).at[0];
  });
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(numbers[i], i % 4 < i / 4 % 5 ? source[4 + i % 4] : 0.0F) << i;
  }
}

TEST(CudaModel, WaitsLeaveTheYoungestGroupsPending) {
  const auto numbers = numbers_of(32, {}, [] {
    for (int group = 0; group < 3; ++group) {
      gpu::cp_async<4>(place(32 * group + gpu::thread_index()), &source[7], 4);
      gpu::cp_async_commit();
    }
    gpu::cp_async_wait<1>();
    float arrived = 0;
    for (int group = 0; group < 3; ++group) {
      const auto number =
          gpu::load_shared<gpu::Vector<1>>(place(32 * group + gpu::thread_index())).at[0];
      arrived += std::isnan(number) ? 0.0F : 1.0F;
    }
    gpu::cp_async_wait<0>();
    return arrived;
  });
  for (const float number : numbers) EXPECT_EQ(number, 2.0F);
}

TEST(CudaModel, SharedMemoryStartsAsNaN) {
  const auto numbers = numbers_of(
      32, {}, [] { return gpu::load_shared<gpu::Vector<1>>(place(gpu::thread_index())).at[0]; });
  for (const float number : numbers) EXPECT_TRUE(std::isnan(number));
}

void expect_refused(int threads, const std::function<void()>& body) {
  for (const auto& schedule : model_schedules) {
    EXPECT_THROW(run_blocks({.threads = threads, .shared_bytes = 64}, schedule, body), Error);
  }
}

TEST(CudaModel, RefusesWhatAGpuHangsOn) {
  // Lanes that part before an instruction of the whole warp.
  expect_refused(32, [] {
    if (gpu::lane_index() < 16) {
      gpu::sync_threads();
    } else {
      static_cast<void>(gpu::any(true));
    }
  });
  expect_refused(32, [] {
    if (gpu::lane_index() == 5) return;
    static_cast<void>(gpu::shuffle_xor(1, 1));
  });
  // A warp that does not come to a barrier.
  expect_refused(64, [] {
    if (gpu::warp_index() == 0) gpu::sync_threads();
  });
}

TEST(CudaModel, RefusesAddressesThatAreNotThere) {
  expect_refused(32, [] { static_cast<void>(gpu::load_shared<gpu::Vector<4>>(64)); });
  expect_refused(32, [] { static_cast<void>(gpu::load_shared<gpu::Vector<4>>(8)); });
  expect_refused(32, [] { gpu::cp_async<16>(56, source.data(), 16); });
  expect_refused(32, [] { gpu::cp_async<16>(0, &source[1], 16); });
  expect_refused(32, [] {
    std::uint32_t r[4];
    gpu::ldmatrix_x4(r, static_cast<gpu::SharedOffset>(16 * gpu::lane_index()));
  });
}

TEST(CudaModel, RefusesCopiesThatNobodyWaitsFor) {
  expect_refused(32, [] { gpu::cp_async<4>(0, source.data(), 4); });
  expect_refused(32, [] {
    gpu::cp_async<4>(0, source.data(), 4);
    gpu::cp_async_commit();
  });
}

TEST(CudaModel, PassesOnWhatAThreadThrows) {
  EXPECT_THROW(run_blocks({.threads = 64}, {},
                          [] {
                            gpu::sync_threads();
                            if (gpu::thread_index() == 40) throw InputError("from a thread");
                            gpu::sync_threads();
                          }),
               InputError);
}

TEST(CudaModel, Shuffles) {
  for (const auto& schedule : model_schedules) {
    const auto numbers = numbers_of(64, schedule, [] {
      const auto self = static_cast<float>(gpu::thread_index());
      return gpu::shuffle_xor(self, 3) + 1000 * gpu::shuffle(self, 7);
    });
    for (std::size_t i = 0; i < 64; ++i) {
      EXPECT_EQ(numbers[i], static_cast<float>((i ^ 3U) + 1000 * (i / 32 * 32 + 7)));
    }
    const auto flags =
        numbers_of(64, schedule, [] { return gpu::any(gpu::thread_index() == 40) ? 1.0F : 0.0F; });
    for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(flags[i], i < 32 ? 0.0F : 1.0F);
  }
}

/// An offset into a column-major matrix from a lane and the number of an element among those it
/// holds, as strides: lane % 4, lane / 4, and the bits of the number. This is how libraries of
/// layouts write the fragments of the manual down.
struct FragmentStrides {
  int lane_low;
  int lane_high;
  std::array<int, 3> element_bits;

  [[nodiscard]] std::size_t offset(int lane, int element) const {
    int sum = lane % 4 * lane_low + lane / 4 * lane_high;
    for (int bit = 0; bit < 3; ++bit) {
      sum += (element >> bit & 1) * element_bits[static_cast<std::size_t>(bit)];
    }
    return static_cast<std::size_t>(sum);
  }
};

TEST(CudaModel, MmaHasTheFragmentsOfTheManual) {
  // m + 16 k of A, n + 8 k of B, m + 16 n of C.
  constexpr FragmentStrides a_strides{32, 1, {16, 8, 128}};
  constexpr FragmentStrides b_strides{16, 1, {8, 64, 0}};
  constexpr FragmentStrides c_strides{32, 1, {16, 8, 0}};
  std::mt19937 random(3);
  std::uniform_int_distribution<int> integers(-8, 8);
  std::array<float, 256> a{};
  std::array<float, 128> b{};
  std::array<float, 128> c{};
  const auto any = [&](float) { return static_cast<float>(integers(random)); };
  std::ranges::transform(a, a.begin(), any);
  std::ranges::transform(b, b.begin(), any);
  std::ranges::transform(c, c.begin(), any);
  auto expected = c;
  for (std::size_t m = 0; m < 16; ++m) {
    for (std::size_t n = 0; n < 8; ++n) {
      for (std::size_t k = 0; k < 16; ++k) expected[m + 16 * n] += a[m + 16 * k] * b[n + 8 * k];
    }
  }
  auto got = c;
  run_blocks({.threads = 32}, {}, [&] {
    const int lane = gpu::lane_index();
    std::uint32_t a_words[4];
    std::uint32_t b_words[2];
    float sums[4];
    for (int w = 0; w < 4; ++w) {
      a_words[w] = gpu::pack<BFloat16>(a[a_strides.offset(lane, 2 * w)],
                                       a[a_strides.offset(lane, 2 * w + 1)]);
      sums[w] = c[c_strides.offset(lane, w)];
    }
    for (int w = 0; w < 2; ++w) {
      b_words[w] = gpu::pack<BFloat16>(b[b_strides.offset(lane, 2 * w)],
                                       b[b_strides.offset(lane, 2 * w + 1)]);
    }
    gpu::mma_m16n8k16<BFloat16>(sums, a_words, b_words);
    for (int w = 0; w < 4; ++w) got[c_strides.offset(lane, w)] = sums[w];
  });
  EXPECT_EQ(got, expected);
}

TEST(CudaModel, LdmatrixDealsRowsToLanesAndCountsConflicts) {
  std::array<std::uint16_t, 256> elements;
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<std::uint16_t>(i);
  const auto load = [&](bool transposed, int row_bytes) {
    std::array<std::array<std::uint32_t, 4>, 32> registers{};
    const auto report = run_blocks({.threads = 32, .shared_bytes = 32 * 128}, {}, [&] {
      const int lane = gpu::lane_index();
      const auto row = static_cast<gpu::SharedOffset>(lane * row_bytes);
      const auto* from = elements.data() + 8 * lane;
      for (int c = 0; c < 4; ++c) {
        gpu::cp_async<4>(row + static_cast<gpu::SharedOffset>(4 * c), from + 2 * c, 4);
      }
      gpu::cp_async_commit();
      gpu::cp_async_wait<0>();
      gpu::sync_threads();
      std::uint32_t r[4];
      if (transposed) {
        gpu::ldmatrix_x4_trans(r, row);
      } else {
        gpu::ldmatrix_x4(r, row);
      }
      std::ranges::copy(r, registers[static_cast<std::size_t>(lane)].begin());
    });
    return std::pair(registers, report.bank_conflicts);
  };
  const auto [rows, no_conflicts] = load(false, 16);
  const auto [columns, all_conflicts] = load(true, 128);
  EXPECT_EQ(no_conflicts, 0);
  EXPECT_EQ(all_conflicts, 4 * 7);
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t m = 0; m < 4; ++m) {
      const std::size_t first = 64 * m + lane / 4 * 8 + lane % 4 * 2;
      EXPECT_EQ(rows[lane][m], first | (first + 1) << 16);
      const std::size_t top = 64 * m + lane % 4 * 16 + lane / 4;
      EXPECT_EQ(columns[lane][m], top | (top + 8) << 16);
    }
  }
}

}  // namespace
}  // namespace annulus::test
