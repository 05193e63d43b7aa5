// threads:P: ranks that are threads of this process.
#include "annulus/comm/threads.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "base/range.hpp"

namespace annulus::comm::transport {
namespace {

constexpr WholeRange<int> rank_counts{1, 512};

/// P of `threads:P`.
int parse_ranks(std::string_view text) {
  try {
    return read_number(text, rank_counts);
  } catch (const InputError&) {
    throw InputError(fmt::format("'threads:{}'; expected threads:P with P, the number of ranks, {}",
                                 text, rank_counts.words()));
  }
}

}  // namespace

extern const Transport threads{
    .name = "threads",
    .argument = ":P",
    .description = "P ranks that are threads, no launcher needed",
    .one_process = true,
    .open = [](std::string_view argument, const Job&) -> RankRunner {
      return [ranks = parse_ranks(argument)](const RankBody& body) {
        std::vector<int> codes(static_cast<std::size_t>(ranks));
        run_threads(ranks, [&](Communicator& communicator) {
          codes[static_cast<std::size_t>(communicator.rank())] = body(communicator, communicator);
        });
        return std::ranges::max(codes);
      };
    },
};

}  // namespace annulus::comm::transport
