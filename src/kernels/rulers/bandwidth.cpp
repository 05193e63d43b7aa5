#include <chrono>
#include <cstdint>
#include <vector>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/for_each_item.hpp"

namespace annulus::kernels {

double measure_read_bandwidth(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  // Far more than the last-level cache holds, in pieces of a page or more that threads share.
  constexpr std::size_t numbers = std::size_t{1} << 25;
  constexpr std::size_t piece = std::size_t{1} << 16;
  const std::vector<std::uint64_t> memory(numbers, 1);
  std::vector<std::uint64_t> sums(numbers / piece);
  double best = 0;
  const auto start = Clock::now();
  do {
    const auto begin = Clock::now();
    for_each_item(static_cast<Index>(sums.size()), threads, {}, [&](Index item, int) {
      const auto* from = memory.data() + static_cast<std::size_t>(item) * piece;
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < piece; ++i) sum += from[i];
      sums[static_cast<std::size_t>(item)] = sum;
    });
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    std::uint64_t all = 0;
    for (const auto sum : sums) all += sum;
    // The sum is used, so that nothing is left out.
    if (all == numbers) best = std::max(best, static_cast<double>(numbers * 8) / took);
  } while (std::chrono::duration<double>(Clock::now() - start).count() < seconds);
  return best;
}

}  // namespace annulus::kernels
