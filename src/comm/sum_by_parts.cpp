#include "comm/sum_by_parts.hpp"

#include <algorithm>
#include <vector>

#include "comm/reduce.hpp"

namespace annulus::comm {

bool worth_parts(std::span<const double> data, int ranks) {
  constexpr std::size_t numbers = 4096;
  return ranks > 1 && data.size() / static_cast<std::size_t>(ranks) >= numbers;
}

void sum_by_parts(Communicator& communicator, std::span<double> data) {
  const int own = communicator.rank();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto part_of = [&](int rank) {
    const auto at = static_cast<std::size_t>(rank);
    const std::size_t begin = data.size() / ranks * at + std::min(at, data.size() % ranks);
    return data.subspan(begin, data.size() / ranks + (at < data.size() % ranks ? 1 : 0));
  };
  const auto mine = part_of(own);

  std::vector<std::vector<double>> of_rank(ranks);
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
  std::ranges::copy(of_rank.front(), mine.begin());
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    accumulate(mine, std::as_bytes(std::span(of_rank[rank])).data(), Reduction::sum);
  }

  sends.clear();
  receives.clear();
  for (int rank = 0; rank < communicator.size(); ++rank) {
    if (rank == own) continue;
    sends.push_back({rank, std::as_bytes(mine)});
    receives.push_back({rank, std::as_writable_bytes(part_of(rank))});
  }
  communicator.exchange(sends, receives)->wait();
}

}  // namespace annulus::comm
