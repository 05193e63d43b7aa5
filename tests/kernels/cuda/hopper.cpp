// That the model of compute capability 9.0 has the layouts of the PTX manual and sees what goes
// wrong on a GPU; and what the forward path for it is made of.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/device/hopper/matrix_descriptor.hpp"
#include "kernels/cuda/device/step_turns.hpp"
#include "kernels/cuda/hopper_model.hpp"
#include "kernels/cuda/hopper_shape.hpp"
#include "kernels/cuda/work_order.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// Rows of small integers in bf16, of which products are exact.
struct Matrix {
  Matrix(int row_count, int column_count, unsigned seed)
      : rows(row_count),
        columns(column_count),
        values(static_cast<std::size_t>(row_count * column_count + 8)) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> integers(-4, 4);
    first = values.data();
    while (reinterpret_cast<std::uintptr_t>(first) % 16 != 0) ++first;
    for (int i = 0; i < rows * columns; ++i) first[i] = BFloat16(integers(random));
  }
  [[nodiscard]] float at(int i, int j) const { return first[i * columns + j]; }
  [[nodiscard]] gpu::TileMap map(int box_rows) const {
    return {.type = DataType::bfloat16,
            .data = first,
            .dim = columns,
            .heads = 1,
            .rows = rows,
            .head_stride_bytes = 16,
            .row_stride_bytes = 2 * columns,
            .box_heads = 1,
            .box_rows = box_rows};
  }

  int rows;
  int columns;
  std::vector<BFloat16> values;
  BFloat16* first;
};

/// What a block of one or two warpgroups, each for itself, makes of two tiles: 64 rows a by
/// `columns` of b over `terms`. Every step may be spoilt.
template <int columns, int terms>
struct Products {
  bool across = false;       ///< whether a comes in registers and columns of b lie along its rows
  bool both_across = false;  ///< whether columns of both do, a in shared memory
  int arrivals = 1;
  int more_bytes = 0;  ///< than come
  int parity = 0;
  bool fences_barrier = true;
  bool all_wait = true;
  bool fences = true;
  bool commits = true;
  bool waits = true;
  bool refills = false;
  bool clears = false;
  bool fences_proxy = true;
  bool touches_sums = false;
  bool touches_weights = false;
  std::uint64_t spoil = 0;    ///< bits that are turned in the descriptor of b
  std::uint64_t spoil_a = 0;  ///< and of a, where both lie across
};

constexpr gpu::SharedOffset place_of_b = 32768;
constexpr gpu::SharedOffset place_of_barrier = 2 * place_of_b;

template <int columns, int terms>
std::vector<float> multiply(const Products<columns, terms>& with, const Matrix& a, const Matrix& b,
                            const Schedule& schedule = {}) {
  std::vector<float> out(64 * columns, 0);
  const bool b_across = with.across || with.both_across;
  const int b_rows = b_across ? terms : columns;
  const int b_slabs = (b_across ? columns : terms) / 64;
  const int a_rows = with.both_across ? terms : 64;
  const auto map_a = encode_for_model(a.map(a_rows));
  const auto map_b = encode_for_model(b.map(b_rows));
  const int bytes = 128 * (64 * (terms / 64) + b_rows * b_slabs) + with.more_bytes;
  run_blocks({.threads = 128, .shared_bytes = 2 * place_of_b + 8}, schedule, [&] {
    if (gpu::thread_index() == 0) {
      gpu::barrier_init(place_of_barrier, with.arrivals);
      if (with.fences_barrier) gpu::barrier_init_fence();
    }
    gpu::sync_threads();
    const auto bring_b = [&] {
      for (int slab = 0; slab < b_slabs; ++slab) {
        gpu::load_tile(place_of_b + static_cast<gpu::SharedOffset>(slab * b_rows * 128), map_b,
                       {.element = 64 * slab}, place_of_barrier);
      }
    };
    if (gpu::thread_index() == 0) {
      gpu::barrier_arrive(place_of_barrier, bytes);
      for (int slab = 0; slab < terms / a_rows; ++slab) {
        gpu::load_tile(static_cast<gpu::SharedOffset>(slab * 64 * 128), map_a,
                       {.element = 64 * slab}, place_of_barrier);
      }
      bring_b();
    }
    if (with.all_wait || gpu::warp_index() == 0) {
      gpu::barrier_wait(place_of_barrier, with.parity);
    }
    gpu::sync_threads();
    if (with.clears) {
      // The same as what is there.
      if (gpu::thread_index() < 8) {
        gpu::store_zeros(place_of_b + static_cast<gpu::SharedOffset>((b_rows - 1) * 128 +
                                                                     gpu::thread_index() * 16));
      }
      if (with.fences_proxy) gpu::async_proxy_fence();
      gpu::sync_threads();
    }
    gpu::Sums<1, columns> sums;
    std::uint32_t weights[terms / 16][4];
    const int row = gpu::warp_index() * 16 + gpu::lane_index() / 4;
    for (int k = 0; with.across && k < terms / 16; ++k) {
      for (int i = 0; i < 4; ++i) {
        const int column = 16 * k + gpu::lane_index() % 4 * 2 + i / 2 * 8;
        weights[k][i] =
            gpu::pack<BFloat16>(a.at(row + i % 2 * 8, column), a.at(row + i % 2 * 8, column + 1));
      }
    }
    if (with.fences) gpu::wgmma_fence(sums.blocks[0], weights);
    for (int k = 0; k < terms / 16; ++k) {
      if (with.across) {
        gpu::wgmma<BFloat16>(sums.blocks[0], weights[k],
                             gpu::columns_descriptor<terms>(place_of_b, 16 * k) ^ with.spoil,
                             k > 0);
      } else if (with.both_across) {
        if constexpr (columns == 64) {
          gpu::wgmma_across<BFloat16>(
              sums.blocks[0], gpu::columns_descriptor<terms>(0, 16 * k) ^ with.spoil_a,
              gpu::columns_descriptor<terms>(place_of_b, 16 * k) ^ with.spoil, k > 0);
        }
      } else {
        gpu::wgmma<BFloat16>(sums.blocks[0], gpu::rows_descriptor<64>(0, 16 * k),
                             gpu::rows_descriptor<columns>(place_of_b, 16 * k) ^ with.spoil, k > 0);
      }
    }
    if (with.commits) gpu::wgmma_commit();
    if (with.refills && gpu::thread_index() == 0) {
      gpu::barrier_arrive(place_of_barrier, 128 * b_rows * b_slabs);
      bring_b();
    }
    if (with.touches_sums) sums.blocks[0][0][0] = 1;
    if (with.touches_weights) weights[0][0] = 0;
    if (with.waits) gpu::wgmma_wait<0>(sums.blocks[0]);
    gpu::for_each_number<2, columns / 8>([&](int r, int n, int side) {
      const auto at = (row + 8 * r) * columns + gpu::column_of_lane(n, side);
      out[static_cast<std::size_t>(at)] = sums.at(r, n, side);
    });
    if (with.refills) gpu::barrier_wait(place_of_barrier, 1);
    if (!with.waits) gpu::wgmma_wait<0>(sums.blocks[0]);
  });
  return out;
}

template <int columns, int terms>
std::vector<float> expected(bool across, const Matrix& a, const Matrix& b,
                            bool both_across = false) {
  std::vector<float> out;
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < columns; ++j) {
      float sum = 0;
      for (int k = 0; k < terms; ++k) {
        const float left = both_across ? a.at(k, i) : a.at(i, k);
        sum += left * (across || both_across ? b.at(k, j) : b.at(j, k));
      }
      out.push_back(sum);
    }
  }
  return out;
}

template <int columns, int terms>
void expect_product(bool across) {
  const Matrix a(64, terms, 1);
  const Matrix b(across ? terms : columns, across ? columns : terms, 2);
  for (const auto& schedule : model_schedules) {
    EXPECT_EQ((multiply<columns, terms>({.across = across}, a, b, schedule)),
              (expected<columns, terms>(across, a, b)));
  }
}

TEST(HopperModel, ProductsOfTilesAndOfRegisters) {
  expect_product<64, 64>(false);
  expect_product<128, 64>(false);
  expect_product<128, 128>(false);
  expect_product<64, 256>(false);
  expect_product<64, 64>(true);
  expect_product<128, 128>(true);
  expect_product<256, 64>(true);
}

TEST(HopperModel, ProductsOfTilesWhoseTermsLieAcross) {
  const Matrix a(128, 64, 1);
  const Matrix b(128, 64, 2);
  const auto right = expected<64, 128>(false, a, b, true);
  for (const auto& schedule : model_schedules) {
    EXPECT_EQ((multiply<64, 128>({.both_across = true}, a, b, schedule)), right);
    // The start, the stride and the swizzle of either.
    for (const int bit : {0, 6, 38, 62}) {
      for (const bool of_a : {false, true}) {
        Products<64, 128> with{.both_across = true};
        (of_a ? with.spoil_a : with.spoil) = 1ULL << bit;
        try {
          EXPECT_NE((multiply<64, 128>(with, a, b, schedule)), right) << bit;
        } catch (const Error&) {
        }
      }
    }
  }
}

TEST(HopperModel, DescriptorsOfSomeColumnsBeginAtTheirSlab) {
  const Matrix a(64, 64, 1);
  const Matrix b(64, 128, 2);
  for (const int slab : {0, 1}) {
    std::vector<float> out(64 * 64);
    run_blocks({.threads = 128, .shared_bytes = 2 * place_of_b + 8}, {}, [&] {
      const auto write = [](gpu::SharedOffset tile, const Matrix& matrix) {
        for (int at = gpu::thread_index(); at < 64 * matrix.columns / 2; at += 128) {
          const int row = at * 2 / matrix.columns;
          const int column = at * 2 % matrix.columns;
          const auto chunk = gpu::slab_chunk(row, column % 64 / 8);
          const int further = column / 64 * 64 * 128 + column % 8 * 2;
          gpu::store_shared(
              tile + chunk + static_cast<gpu::SharedOffset>(further),
              gpu::pack<BFloat16>(matrix.at(row, column), matrix.at(row, column + 1)));
        }
      };
      write(0, a);
      write(place_of_b, b);
      gpu::async_proxy_fence();
      gpu::sync_threads();
      const auto slab_of_b = place_of_b + gpu::slab_at<64>(slab);
      gpu::Sums<1, 64> sums;
      gpu::wgmma_fence(sums.blocks[0]);
      for (int k = 0; k < 64; k += 16) {
        gpu::wgmma_across<BFloat16>(sums.blocks[0], gpu::columns_descriptor<64>(0, k),
                                    gpu::columns_descriptor<64>(slab_of_b, k), k > 0);
      }
      gpu::wgmma_commit();
      gpu::wgmma_wait<0>(sums.blocks[0]);
      const int row = gpu::warp_index() * 16 + gpu::lane_index() / 4;
      gpu::for_each_number<2, 8>([&](int r, int n, int side) {
        out[static_cast<std::size_t>((row + 8 * r) * 64 + gpu::column_of_lane(n, side))] =
            sums.at(r, n, side);
      });
    });
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; ++j) {
        float sum = 0;
        for (int k = 0; k < 64; ++k) sum += a.at(k, i) * b.at(k, 64 * slab + j);
        EXPECT_EQ(out[static_cast<std::size_t>(64 * i + j)], sum) << i << ", " << j;
      }
    }
  }
}

/// What a warp that adds the numbers of another one leaves out, or the other one.
struct AdditionFault {
  bool no_fence = false;    ///< of what is written
  bool no_meeting = false;  ///< of the lanes that write, before one of them arrives
  bool no_barrier = false;  ///< before they are added
  bool overwrites = false;  ///< before they have been read
  bool no_commit = false;
  bool no_wait = false;  ///< for the turn
  bool no_fence_of_device = false;
  bool no_proxy_fence = false;
  bool raises_when_read = false;
  bool never_waits = false;  ///< for the end
  int bytes_less = 0;
};

/// Blocks of two warps, each of which adds 1 to 128 numbers.
std::vector<float> add_by_themselves(const AdditionFault& with, const Schedule& schedule = {}) {
  constexpr int blocks = 5;
  constexpr gpu::SharedOffset full = 512;
  constexpr gpu::SharedOffset empty = 520;
  struct alignas(16) Memory {
    std::array<float, 128> sums{};
    std::uint32_t tickets = 0;
    std::uint32_t count = 0;
  } memory;
  const auto write = [&] {
    gpu::store_shared(static_cast<gpu::SharedOffset>(16 * gpu::lane_index()),
                      gpu::Vector<4>{1, 1, 1, 1});
    if (!with.no_fence) gpu::async_proxy_fence();
    if (!with.no_meeting) gpu::sync_warp();
    if (gpu::lane_index() == 0) gpu::barrier_arrive(full);
    if (!with.overwrites) gpu::barrier_wait(empty, 0);
    gpu::store_shared(static_cast<gpu::SharedOffset>(16 * gpu::lane_index()), gpu::Vector<4>{});
  };
  const auto add = [&](int ticket) {
    if (!with.no_barrier) gpu::barrier_wait(full, 0);
    if (!with.no_wait) gpu::wait_for(&memory.count, static_cast<std::uint32_t>(ticket));
    if (gpu::lane_index() != 0) return;
    if (!with.no_fence_of_device) gpu::fence_device();
    if (!with.no_proxy_fence) gpu::async_proxy_fence_device();
    gpu::add_numbers(memory.sums.data(), 0, 512 - with.bytes_less);
    if (!with.no_commit) gpu::add_commit();
    gpu::add_wait_read<0>();
    gpu::barrier_arrive(empty);
    if (with.raises_when_read) {
      gpu::fence_device();
      gpu::raise(&memory.count);
    }
    if (!with.never_waits) gpu::add_wait<0>();
    if (with.raises_when_read) return;
    gpu::fence_device();
    gpu::raise(&memory.count);
  };
  run_blocks({.blocks_x = blocks, .threads = 64, .shared_bytes = 544, .together = true}, schedule,
             [&] {
               if (gpu::thread_index() == 0) {
                 gpu::barrier_init(full, 1);
                 gpu::barrier_init(empty, 1);
                 gpu::barrier_init_fence();
               }
               const int ticket = gpu::ticket_of_block(&memory.tickets, 528);
               if (gpu::warp_index() == 0) {
                 write();
               } else {
                 add(ticket);
               }
             });
  return {memory.sums.begin(), memory.sums.end()};
}

TEST(HopperModel, AddsByItself) {
  for (const auto& schedule : model_schedules) {
    EXPECT_EQ(add_by_themselves({}, schedule), std::vector<float>(128, 5));
  }
}

TEST(HopperModel, SeesWhatIsWrongWithAdditions) {
  // In some order at least; all but those that depend on which lane or warp comes first in each.
  const auto seen_in = [](const AdditionFault& with) {
    int seen = 0;
    for (const auto& schedule : model_schedules) {
      try {
        seen += add_by_themselves(with, schedule) == std::vector<float>(128, 5) ? 0 : 1;
      } catch (const Error&) {
        ++seen;
      }
    }
    return seen;
  };
  const int all = static_cast<int>(model_schedules.size());
  EXPECT_EQ(seen_in({.no_fence = true}), all);
  EXPECT_GE(seen_in({.no_meeting = true}), 1);
  EXPECT_EQ(seen_in({.no_barrier = true}), all);
  EXPECT_EQ(seen_in({.overwrites = true}), all);
  EXPECT_EQ(seen_in({.no_commit = true}), all);
  EXPECT_EQ(seen_in({.no_wait = true}), all);
  EXPECT_EQ(seen_in({.no_fence_of_device = true}), all);
  EXPECT_EQ(seen_in({.no_proxy_fence = true}), all);
  EXPECT_EQ(seen_in({.raises_when_read = true}), all);
  EXPECT_EQ(seen_in({.never_waits = true}), all);
  EXPECT_EQ(seen_in({.bytes_less = 8}), all);
  EXPECT_EQ(seen_in({.bytes_less = 16}), all);
}

// What a warp writes another one reads once it has waited for a phase that the first has arrived
// in.
TEST(HopperModel, WhatAnotherWarpWroteIsNaNBeforeItsPhaseIsWaitedFor) {
  for (const auto& schedule : model_schedules) {
    for (const bool waits : {false, true}) {
      run_blocks({.threads = 64, .shared_bytes = 32}, schedule, [&] {
        if (gpu::thread_index() == 0) {
          gpu::barrier_init(16, 1);
          gpu::barrier_init_fence();
        }
        gpu::sync_threads();
        if (gpu::thread_index() == 0) {
          gpu::store_shared(0, 1.0F);
          gpu::barrier_arrive(16);
        }
        if (gpu::warp_index() == 1) {
          if (waits) gpu::barrier_wait(16, 0);
          const float number = gpu::load_shared<gpu::Vector<1>>(0).at[0];
          EXPECT_EQ(std::isnan(number), !waits);
        }
      });
    }
  }
}

// Written down from the manual: start and offsets in units of 16 bytes, the swizzle of 128 bytes.
TEST(HopperModel, DescriptorsAreThoseOfTheManual) {
  ASSERT_EQ(gpu::shared_address(0), 1024U);
  EXPECT_EQ(gpu::rows_descriptor<128>(0, 0), 0x4000004000010040ULL);
  EXPECT_EQ(gpu::rows_descriptor<128>(0, 16), 0x4000004000010042ULL);
  EXPECT_EQ(gpu::rows_descriptor<128>(8192, 80), 0x4000004000010642ULL);
  // The last 1024 bytes that a block can have.
  EXPECT_EQ(gpu::rows_descriptor<128>(226 * 1024, 48), 0x40000040000138c6ULL);
  EXPECT_EQ(gpu::columns_descriptor<128>(0, 0), 0x4000004004000040ULL);
  EXPECT_EQ(gpu::columns_descriptor<128>(0, 16), 0x40000040040000c0ULL);
}

TEST(HopperModel, SeesLanesThatDifferInANumberOfTheWarp) {
  const auto numbers = [](int of_last) {
    run_blocks({.threads = 64}, {}, [&] {
      const int lane = gpu::lane_index();
      const int number = lane == 31 && gpu::warp_index() == 1 ? of_last : gpu::warp_index();
      EXPECT_EQ(gpu::of_warp(number), gpu::warp_index());
    });
  };
  EXPECT_THROW(numbers(2), Error);
  EXPECT_NO_THROW(numbers(1));
}

// "Swizzling Modes": chunk c of row r of a box of 128 bytes a row lies at chunk c xor r % 8.
TEST(HopperModel, TilesAreTurnedAndZeroOutside) {
  const Matrix a(11, 40, 3);
  const auto map = encode_for_model(a.map(16));
  std::vector<float> seen(16 * 64);
  run_blocks({.threads = 32, .shared_bytes = 4096}, {}, [&] {
    if (gpu::thread_index() == 0) {
      gpu::barrier_init(2048, 1);
      gpu::barrier_init_fence();
      gpu::barrier_arrive(2048, 2048);
      gpu::load_tile(0, map, {.element = 0, .head = 0, .row = -3}, 2048);
    }
    gpu::any(false);
    gpu::barrier_wait(2048, 0);
    for (int i = gpu::lane_index(); i < 16 * 64; i += 32) {
      const auto chunk = gpu::slab_chunk(i / 64, i % 64 / 8);
      const auto at = chunk + static_cast<gpu::SharedOffset>(i % 8 * 2);
      seen[static_cast<std::size_t>(i)] = gpu::load_shared<BFloat16>(at);
    }
  });
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 64; ++j) {
      const bool inside = i >= 3 && i - 3 < 11 && j < 40;
      EXPECT_EQ(seen[static_cast<std::size_t>(64 * i + j)], inside ? a.at(i - 3, j) : 0.0F)
          << i << ", " << j;
    }
  }
}

/// That a product with this fault is refused, or not the right one, whatever the order.
template <int columns = 64, int terms = 64>
void expect_caught(const Products<columns, terms>& with) {
  const Matrix a(64, terms, 1);
  const Matrix b(with.across ? terms : columns, with.across ? columns : terms, 2);
  const auto right = expected<columns, terms>(with.across, a, b);
  for (const auto& schedule : model_schedules) {
    try {
      EXPECT_NE((multiply<columns, terms>(with, a, b, schedule)), right);
    } catch (const Error&) {
    }
  }
}

TEST(HopperModel, SeesWhatIsWrongWithBarriers) {
  expect_caught({.arrivals = 2});
  expect_caught({.more_bytes = 128});
  expect_caught({.more_bytes = -8192});
  expect_caught({.parity = 1});
  expect_caught({.fences_barrier = false});
  expect_caught({.all_wait = false});
  expect_caught({.refills = true});
}

TEST(HopperModel, SeesWhatIsWrongWithProducts) {
  for (const bool across : {false, true}) {
    expect_caught({.across = across, .fences = false});
    expect_caught({.across = across, .commits = false});
    expect_caught({.across = across, .waits = false});
    expect_caught({.across = across, .touches_sums = true});
  }
  expect_caught({.across = true, .touches_weights = true});
}

TEST(HopperModel, SeesEveryFieldOfADescriptor) {
  // The start, the stride, the base offset, the swizzle, and bits that mean nothing.
  for (const int bit : {0, 1, 14, 32, 38, 46, 49, 52, 62, 63}) {
    SCOPED_TRACE(bit);
    expect_caught({.spoil = 1ULL << bit});
    expect_caught({.across = true, .spoil = 1ULL << bit});
  }
  // The leading offset means something where columns are more than 64 and lie along rows.
  expect_caught<128, 64>({.across = true, .spoil = 1ULL << 25});
  const Matrix a(64, 64, 1);
  const Matrix b(64, 64, 2);
  EXPECT_EQ((multiply<64, 64>({.spoil = 1ULL << 25}, a, b)), (expected<64, 64>(false, a, b)));
}

TEST(HopperModel, SeesWhatThreadsWriteOnceItIsFenced) {
  const Matrix a(64, 64, 1);
  Matrix b(64, 64, 2);
  const auto fenced = multiply<64, 64>({.clears = true}, a, b);
  for (int j = 0; j < 64; ++j) b.first[63 * 64 + j] = BFloat16(0);
  EXPECT_EQ(fenced, (expected<64, 64>(false, a, b)));
  expect_caught({.clears = true, .fences_proxy = false});
}

void expect_hangs_or_refused(int threads, int registers, const std::function<void()>& body) {
  for (const auto& schedule : model_schedules) {
    EXPECT_THROW(run_blocks({.threads = threads, .shared_bytes = 1024, .registers = registers},
                            schedule, body),
                 Error);
  }
}

TEST(HopperModel, RefusesWhatAGpuHangsOn) {
  // A barrier of two warps that one comes to, or that they count differently.
  expect_hangs_or_refused(64, 0, [] {
    if (gpu::warp_index() == 0) gpu::named_barrier_sync(1, 64);
  });
  expect_hangs_or_refused(96, 0,
                          [] { gpu::named_barrier_sync(1, gpu::warp_index() == 2 ? 96 : 64); });
  expect_hangs_or_refused(32, 0, [] { gpu::named_barrier_sync(16, 32); });
  // Registers that nobody has given.
  expect_hangs_or_refused(256, 168, [] {
    if (gpu::warp_index() < 4) gpu::take_registers<240>();
  });
  // Not by all warps of a warpgroup; not a multiple of 8.
  expect_hangs_or_refused(128, 168, [] {
    if (gpu::warp_index() < 3) gpu::give_registers<24>();
  });
  expect_hangs_or_refused(128, 168, [] { gpu::give_registers<30>(); });
}

TEST(HopperModel, RegistersGoFromOneWarpgroupToOthers) {
  using Shape = gpu::HopperShape;
  for (const auto& schedule : model_schedules) {
    EXPECT_NO_THROW(
        run_blocks({.threads = Shape::threads, .registers = Shape::registers}, schedule, [] {
          if (gpu::warp_index() < Shape::owner_warps) {
            gpu::take_registers<Shape::owner_registers>();
          } else {
            gpu::give_registers<Shape::bringing_registers>();
          }
        }));
  }
}

TEST(HopperModel, RefusesMapsThatADriverRefuses) {
  const Matrix a(64, 64, 1);
  const auto refused = [&](auto change) {
    auto map = a.map(64);
    EXPECT_NO_THROW(static_cast<void>(encode_for_model(map)));
    change(map);
    EXPECT_THROW(static_cast<void>(encode_for_model(map)), Error);
  };
  refused([&](gpu::TileMap& map) { map.data = a.first + 1; });
  refused([](gpu::TileMap& map) { map.rows = 0; });
  refused([](gpu::TileMap& map) { map.row_stride_bytes = 24; });
  refused([](gpu::TileMap& map) { map.head_stride_bytes = 0; });
  refused([](gpu::TileMap& map) { map.box_rows = 257; });
}

/// With the environment variable as it is given, for as long as this lives.
class Wish {
 public:
  Wish(const char* variable, const char* value) : variable_(variable) {
    setenv(variable, value, 1);
  }
  ~Wish() { unsetenv(variable_); }
  Wish(const Wish&) = delete;
  Wish& operator=(const Wish&) = delete;

 private:
  const char* variable_;
};

// Whatever the grid, all items are dealt out, and once; a block that has nothing to do in a round
// has nothing after it.
TEST(HopperWork, IsDealtOutOnce) {
  for (const int blocks : {1, 2, 3, 7, 12, 13, 131, 132}) {
    for (const int count : {1, 2, 12, 13, 131, 132, 133, 264, 397, 1009}) {
      SCOPED_TRACE(testing::Message() << count << " items, " << blocks << " blocks");
      const gpu::WorkOrder order{.blocks = blocks, .heads = 3, .count = count};
      std::vector<int> times(static_cast<std::size_t>(count));
      for (int block = 0; block < blocks; ++block) {
        int round = 0;
        for (; order.has(round, block); ++round) {
          ++times[static_cast<std::size_t>(order.item(round, block))];
        }
        for (int more = 0; more < 3; ++more) EXPECT_FALSE(order.has(round + more, block));
      }
      EXPECT_EQ(times, std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
}

// All heads of a tile, and then the next one.
TEST(HopperWork, IsTilesOfHeads) {
  const gpu::WorkOrder order{.blocks = 4, .heads = 3, .count = 15};
  for (int item = 0; item < order.count; ++item) {
    EXPECT_EQ(order.tile(item), item / 3);
    EXPECT_EQ(order.head(item), item % 3);
  }
}

// Tiles of a causal mask, whose work falls by one from each to the next: no block has more than the
// average and what the items of a round differ by.
TEST(HopperWork, IsSharedOutEvenly) {
  constexpr int tiles = 64;
  for (const int heads : {3, 8, 32}) {
    for (const int blocks : {2, 7, 12, 61}) {
      const gpu::WorkOrder order{.blocks = blocks, .heads = heads, .count = tiles * heads};
      const int average = heads * tiles * (tiles + 1) / 2 / blocks;
      for (int block = 0; block < blocks; ++block) {
        int work = 0;
        for (int round = 0; order.has(round, block); ++round) {
          work += tiles - order.tile(order.item(round, block));
        }
        EXPECT_LE(work, average + 2 + blocks / heads) << heads << " heads, " << blocks << " blocks";
      }
    }
  }
}

void expect_refused(const char* variable, const char* value, const char* why) {
  const Wish wish(variable, value);
  try {
    static_cast<void>(gpu::wished_kernels());
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), why);
  }
}

TEST(HopperChoice, IsAWishThatMayBeMisspelt) {
  EXPECT_EQ(gpu::wished_kernels().path, gpu::KernelPath::mma);
  EXPECT_TRUE(gpu::wished_kernels().in_order);
  {
    const Wish path("ANNULUS_CUDA", "hopper");
    const Wish sums("ANNULUS_CUDA_SUMS", "unordered");
    EXPECT_EQ(gpu::wished_kernels().path, gpu::KernelPath::hopper);
    EXPECT_FALSE(gpu::wished_kernels().in_order);
  }
  expect_refused("ANNULUS_CUDA", "hoper", "ANNULUS_CUDA=hoper: expected mma or hopper");
  expect_refused("ANNULUS_CUDA_SUMS", "", "ANNULUS_CUDA_SUMS=: expected ordered or unordered");
}

TEST(HopperChoice, LeavesWhatThePathDoesNotHave) {
  const auto hopper = gpu::KernelPath::hopper;
  const auto halves = gpu::choose_kernel(DataType::bfloat16, 96, 64, hopper);
  EXPECT_EQ(halves.path, hopper);
  EXPECT_EQ(halves.dim, 128);
  EXPECT_EQ(gpu::forward_tile_rows(halves), 128);
  const auto few = gpu::of_few_rows(halves);
  EXPECT_EQ(few.path, gpu::KernelPath::mma);
  EXPECT_TRUE(few.few_rows);
  const auto singles = gpu::choose_kernel(DataType::float32, 96, 64, hopper);
  EXPECT_EQ(singles.path, gpu::KernelPath::mma);
  EXPECT_EQ(singles.dim, 96);
  EXPECT_THROW(static_cast<void>(gpu::choose_kernel(DataType::float16, 257, 64, hopper)),
               InputError);
}

}  // namespace
}  // namespace annulus::test
