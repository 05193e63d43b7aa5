// threads:P: ranks that are threads of this process.
#include "annulus/comm/threads.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"

namespace annulus::comm::transport {
namespace {

/// P of `threads:P`.
int parse_ranks(std::string_view text) {
  const bool digits = !text.empty() && text.size() <= 4 &&
                      text.find_first_not_of("0123456789") == std::string_view::npos;
  const int ranks = digits ? std::stoi(std::string(text)) : 0;
  if (ranks < 1) {
    throw InputError(fmt::format(
        "'threads:{}' is not threads:P with P from 1 to 9999, the number of ranks", text));
  }
  return ranks;
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
