#include <chrono>
#include <cstdint>
#include <vector>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/for_each_item.hpp"

namespace annulus::kernels {
namespace {

/// The sum of `count` numbers, whole lines of them. With `ahead`, lines that come later are asked
/// for: some cores read twice as fast then, others as fast as without.
template <bool ahead>
std::uint64_t sum_of(const std::uint64_t* from, std::size_t count) {
  constexpr std::size_t line = 64 / sizeof(std::uint64_t);
  constexpr std::size_t lines_ahead = 128;
  constexpr int read = 0;
  constexpr int second_level = 2;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; i += line) {
    if constexpr (ahead) __builtin_prefetch(from + i + lines_ahead * line, read, second_level);
    for (std::size_t j = 0; j < line; ++j) sum += from[i + j];
  }
  return sum;
}

}  // namespace

double measure_read_bandwidth(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  // Far more than the last-level cache holds, in pieces of a page or more that threads share.
  constexpr std::size_t numbers = std::size_t{1} << 25;
  constexpr std::size_t piece = std::size_t{1} << 16;
  const std::vector<std::uint64_t> memory(numbers, 1);
  std::vector<std::uint64_t> sums(numbers / piece);
  double best = 0;
  bool ahead = false;
  const auto start = Clock::now();
  do {
    const auto begin = Clock::now();
    for_each_item(static_cast<Index>(sums.size()), threads, {}, [&](Index item, int) {
      const auto* from = memory.data() + static_cast<std::size_t>(item) * piece;
      sums[static_cast<std::size_t>(item)] =
          ahead ? sum_of<true>(from, piece) : sum_of<false>(from, piece);
    });
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    std::uint64_t all = 0;
    for (const auto sum : sums) all += sum;
    // The sum is used, so that nothing is left out.
    if (all == numbers) best = std::max(best, static_cast<double>(numbers * 8) / took);
    ahead = !ahead;
  } while (ahead || std::chrono::duration<double>(Clock::now() - start).count() < seconds);
  return best;
}

}  // namespace annulus::kernels
