// The peak: chains of multiply-adds that depend on nothing but themselves.

#include "kernels/cpu/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rulers/peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <iterator>

#include "kernels/cpu/operands-inl.hpp"
#include "kernels/cpu/tile_registers.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Enough to cover 6 cycles of latency at 2 a cycle, and few enough for 16 registers.
inline constexpr int chains = 12;

/// Runs `steps` multiply-adds of `factor` and `term` in every lane of every chain; returns how many
/// FLOP they are.
template <class E, class T = Accumulator<E>>
double run_chains(long steps, Operand<E> factor, Operand<E> term, T* result) {
  const hn::ScalableTag<T> d;
  const auto a = repeat_operand(d, factor);
  const auto b = repeat_operand(d, term);
  hn::Vec<decltype(d)> sums[chains];
  for (int x = 0; x < chains; ++x) sums[x] = hn::Set(d, static_cast<T>(x));
  for (long step = 0; step < steps; ++step) {
    for (int x = 0; x < chains; ++x) sums[x] = add_product(d, a, b, sums[x]);
  }
  for (int x = 1; x < chains; ++x) sums[0] = hn::Add(sums[0], sums[x]);
  *result = hn::GetLane(hn::SumOfLanes(d, sums[0]));
  return 2.0 * operand_size<E> * chains * static_cast<double>(steps) *
         static_cast<double>(hn::Lanes(d));
}

double run_float_chains(long steps, float* result) {
  return run_chains<float>(steps, 0.5F, 0.001F, result);
}
double run_double_chains(long steps, double* result) {
  return run_chains<double>(steps, 0.5, 0.001, result);
}
double run_bf16_chains(long steps, float* result) {
#if ANNULUS_TARGET_HAS_BF16_DOT
  const BFloat16 half(0.5);
  const BFloat16 small(0.001);
  return run_chains<BFloat16>(steps, {half, half}, {small, small}, result);
#else
  return run_float_chains(steps, result);
#endif
}

/// The same with products of tiles, as many sums as there are registers for.
double run_tile_chains(long steps, float* result) {
#if ANNULUS_TARGET_HAS_BF16_DOT
  alignas(64) BFloat16 factor[tile_size * tile_size * 2];
  std::fill(std::begin(factor), std::end(factor), BFloat16(0.001));
  alignas(64) float sums[tile_size * tile_size];
  constexpr Index stride = 4 * tile_size;
  TileRegisters registers(tile_shapes(0));
  registers.load<TileRegister::left>(factor, stride);
  registers.load<TileRegister::right>(factor, stride);
  registers.zero<TileRegister::sum0>();
  registers.zero<TileRegister::sum1>();
  registers.zero<TileRegister::sum2>();
  registers.zero<TileRegister::sum3>();
  for (long step = 0; step < steps; ++step) {
    registers.multiply<TileRegister::sum0, TileRegister::left, TileRegister::right>();
    registers.multiply<TileRegister::sum1, TileRegister::left, TileRegister::right>();
    registers.multiply<TileRegister::sum2, TileRegister::left, TileRegister::right>();
    registers.multiply<TileRegister::sum3, TileRegister::left, TileRegister::right>();
  }
  registers.store<TileRegister::sum0>(sums, stride);
  *result = sums[0];
  return 2.0 * 4 * tile_size * tile_size * 2 * tile_size * static_cast<double>(steps);
#else
  return run_float_chains(steps, result);
#endif
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <chrono>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/rulers/clock.hpp"

namespace annulus::kernels {
namespace {

HWY_EXPORT(run_float_chains);
HWY_EXPORT(run_double_chains);
HWY_EXPORT(run_bf16_chains);
HWY_EXPORT(run_tile_chains);

/// FLOP/s of one slice of work, the same on every thread; `clock` is sampled on the calling one at
/// its end.
template <class T, class Chains>
double measure_slice(Chains run, int threads, long steps, ClockSamples* clock = nullptr) {
  // A cache line apart, so that threads do not wait for each other.
  constexpr std::size_t apart = 128 / sizeof(T);
  std::vector<T> results(static_cast<std::size_t>(threads) * apart);
  std::vector<double> flops(static_cast<std::size_t>(threads));
  const auto start = std::chrono::steady_clock::now();
  for_each_item(threads, threads, {}, [&](Index item, int worker) {
    const auto i = static_cast<std::size_t>(item);
    flops[i] = run(steps, &results[i * apart]);
    if (clock != nullptr && worker == 0) clock->take();
  });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  double sum = 0;
  for (std::size_t i = 0; i < flops.size(); ++i) {
    ensure(results[i * apart] > 0, "the chains sum positive numbers");
    sum += flops[i];
  }
  return sum / elapsed.count();
}

/// The best slice: whatever else the machine does only takes away from it.
template <class T, class Chains>
double measure_best(Chains run, int threads, double seconds) {
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  constexpr long steps = 1'000'000;
  double best = 0;
  do {
    best = std::max(best, measure_slice<T>(run, threads, steps));
  } while (std::chrono::steady_clock::now() < end);
  return best;
}

/// Calls act(T, run) with the chains of what passes of inputs of this type multiply with, and the
/// type of their sums.
template <class Act>
auto with_chains_of(DataType type, Act act) {
  if (accumulator_of(type) == DataType::float64) {
    return act(double{}, HWY_DYNAMIC_DISPATCH(run_double_chains));
  }
  if (type == DataType::bfloat16 && multiplies_bf16_tiles()) {
    return act(float{}, HWY_DYNAMIC_DISPATCH(run_tile_chains));
  }
  return type == DataType::bfloat16 && multiplies_bf16()
             ? act(float{}, HWY_DYNAMIC_DISPATCH(run_bf16_chains))
             : act(float{}, HWY_DYNAMIC_DISPATCH(run_float_chains));
}

}  // namespace

BFloat16Speeds measure_bf16_speeds(bool pairs, bool tiles) {
  // Short, and in turns, so that all meet the machine in the same states.
  constexpr long steps = 20'000;
  constexpr int turns = 10;
  BFloat16Speeds best;
  double fp32 = 0;
  const auto measure = [](double& speed, auto run, long some) {
    speed = std::max(speed, measure_slice<float>(run, 1, some));
  };
  for (int turn = 0; turn < turns; ++turn) {
    measure(fp32, HWY_DYNAMIC_DISPATCH(run_float_chains), steps);
    if (pairs) measure(best.pairs, HWY_DYNAMIC_DISPATCH(run_bf16_chains), steps);
    // A step is longer.
    if (tiles) measure(best.tiles, HWY_DYNAMIC_DISPATCH(run_tile_chains), steps / 10);
  }
  return {.pairs = best.pairs / fp32, .tiles = best.tiles / fp32};
}

double measure_peak_flops(DataType type, int threads, double seconds) {
  ensure(threads >= 1, "at least one thread");
  return with_chains_of(
      type, [&]<class T>(T, auto run) { return measure_best<T>(run, threads, seconds); });
}

double measure_chain_under_peak(DataType type, int threads) {
  ensure(threads >= 1, "at least one thread");
  // Long enough for a clock to fall.
  constexpr long steps = 100'000;
  constexpr int slices = 20;
  ClockSamples clock;
  with_chains_of(type, [&]<class T>(T, auto run) {
    for (int slice = 0; slice < slices; ++slice) measure_slice<T>(run, threads, steps, &clock);
  });
  return clock.seconds();
}

}  // namespace annulus::kernels
#endif
