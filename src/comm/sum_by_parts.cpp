#include "comm/sum_by_parts.hpp"

#include <algorithm>
#include <functional>
#include <ranges>
#include <vector>

namespace annulus::comm {

bool worth_parts(std::size_t numbers, int ranks) {
  constexpr std::size_t least = 4096;
  return ranks > 1 && numbers / static_cast<std::size_t>(ranks) >= least;
}

template <class T>
void sum_by_parts(Communicator& communicator, std::span<T> data) {
  const int own = communicator.rank();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto part_of = [&](int rank) {
    const auto at = static_cast<std::size_t>(rank);
    const std::size_t begin = data.size() / ranks * at + std::min(at, data.size() % ranks);
    return data.subspan(begin, data.size() / ranks + (at < data.size() % ranks ? 1 : 0));
  };
  const auto mine = part_of(own);

  std::vector<std::vector<T>> of_rank(ranks);
  std::vector<Send> sends;
  std::vector<Receive> receives;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    if (rank == own) continue;
    auto& theirs = of_rank[static_cast<std::size_t>(rank)];
    theirs.resize(mine.size());
    sends.push_back({rank, std::as_bytes(part_of(rank))});
    receives.push_back({rank, std::as_writable_bytes(std::span(theirs))});
  }
  communicator.exchange(sends, receives)->wait();

  of_rank[static_cast<std::size_t>(own)].assign(mine.begin(), mine.end());
  std::vector<double> sums(of_rank.front().begin(), of_rank.front().end());
  for (const auto& theirs : of_rank | std::views::drop(1)) {
    std::ranges::transform(sums, theirs, sums.begin(), std::plus());
  }
  std::ranges::transform(sums, mine.begin(), [](double sum) { return static_cast<T>(sum); });

  sends.clear();
  receives.clear();
  for (int rank = 0; rank < communicator.size(); ++rank) {
    if (rank == own) continue;
    sends.push_back({rank, std::as_bytes(mine)});
    receives.push_back({rank, std::as_writable_bytes(part_of(rank))});
  }
  communicator.exchange(sends, receives)->wait();
}

template void sum_by_parts(Communicator& communicator, std::span<double> data);
template void sum_by_parts(Communicator& communicator, std::span<float> data);

void sum(Communicator& communicator, std::span<float> data) {
  if (worth_parts(data.size(), communicator.size())) return sum_by_parts(communicator, data);
  std::vector<double> sums(data.begin(), data.end());
  communicator.all_reduce(sums, Reduction::sum);
  std::ranges::transform(sums, data.begin(), [](double sum) { return static_cast<float>(sum); });
}

}  // namespace annulus::comm
