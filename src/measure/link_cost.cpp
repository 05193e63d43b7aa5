#include "annulus/measure/link_cost.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "annulus/device/buffer.hpp"

namespace annulus::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t small = 8;
constexpr std::size_t large = std::size_t{4} << 20;
constexpr int repetitions = 15;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Ranks that exchange messages with each other, two and two; the others look on.
class Pairs {
 public:
  /// `partners` of all ranks: -1 for those that look on.
  Pairs(comm::Communicator& communicator, const std::shared_ptr<device::Stream>& stream,
        const std::vector<int>& partners)
      : communicator_(communicator),
        stream_(stream),
        partner_(partners[static_cast<std::size_t>(communicator.rank())]),
        out_(stream, large, communicator.exchanged_memory()),
        in_(stream, large, communicator.exchanged_memory()) {
    stream->clear(out_.data(), large);
  }

  /// Seconds of the slowest pair for messages of so many bytes both ways, each begun when the last
  /// one is there; the median.
  [[nodiscard]] double exchange_seconds(std::size_t bytes) {
    return median([&] {
      if (partner_ >= 0) start(bytes)->wait();
    });
  }

  /// The same for `work` of the pairs, beside `count` large messages one after the other, or none.
  [[nodiscard]] double work_seconds(const Work& work, int count) {
    return median([&] {
      if (partner_ < 0) return;
      std::unique_ptr<comm::Exchange> exchange;
      int started = 0;
      const auto poll = [&] {
        if (exchange && !exchange->poll()) return;
        exchange.reset();
        if (started == count) return;
        exchange = start(large);
        ++started;
      };
      work(poll);
      while (exchange || started < count) poll();
    });
  }

 private:
  std::unique_ptr<comm::Exchange> start(std::size_t bytes) {
    return communicator_.exchange_on(*stream_, comm::Send{partner_, out_.bytes().first(bytes)},
                                     comm::Receive{partner_, in_.bytes().first(bytes)});
  }

  template <class Run>
  double median(const Run& run) {
    std::vector<double> times;
    for (int i = 0; i <= repetitions; ++i) {
      communicator_.barrier();
      const auto begin = Clock::now();
      run();
      stream_->synchronize();
      std::array<double, 1> slowest{partner_ < 0 ? 0 : seconds_since(begin)};
      communicator_.all_reduce(slowest, comm::Reduction::maximum);
      if (i > 0) times.push_back(slowest.front());  // the first one warms up
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
  }

  comm::Communicator& communicator_;
  std::shared_ptr<device::Stream> stream_;
  int partner_;
  device::Buffer out_;
  device::Buffer in_;
};

LinkCost cost_of_pair(Pairs& pairs, const Work& work) {
  const double latency = pairs.exchange_seconds(small);
  const double transfer = std::max(pairs.exchange_seconds(large) - latency, latency);
  // Beside work that takes twice as long.
  const double once = pairs.work_seconds(work, 0);
  const int rounds = std::max(1, static_cast<int>(std::lround(2 * transfer / once)));
  const int messages = std::max(1, static_cast<int>(once * rounds / (2 * transfer)));
  const Work more = [&](const kernels::Poll& poll) {
    for (int round = 0; round < rounds; ++round) work(poll);
  };
  const double alone = pairs.work_seconds(more, 0);
  const double beside = pairs.work_seconds(more, messages);
  const double bytes = 2 * static_cast<double>(large) * messages;  // both ways
  return {.latency = latency,
          .bytes_per_second = static_cast<double>(large) / transfer,
          .busy_per_byte = std::max(0.0, beside - alone) / bytes};
}

}  // namespace

LinkCosts measure_link_costs(comm::Communicator& communicator,
                             const std::shared_ptr<device::Stream>& stream, const Work& work) {
  const auto nodes = ranks_of_nodes(communicator.topology());
  const std::vector<int> nobody(static_cast<std::size_t>(communicator.size()), -1);
  const auto pair = [](std::vector<int>& partners, int one, int other) {
    partners[static_cast<std::size_t>(one)] = other;
    partners[static_cast<std::size_t>(other)] = one;
  };
  LinkCosts costs;
  if (nodes.front().size() > 1) {
    auto partners = nobody;
    pair(partners, nodes[0][0], nodes[0][1]);
    Pairs pairs(communicator, stream, partners);
    costs.inside = cost_of_pair(pairs, work);
  }
  if (nodes.size() == 1) return costs;
  auto partners = nobody;
  pair(partners, nodes[0].front(), nodes[1].front());
  Pairs first(communicator, stream, partners);
  costs.between = cost_of_pair(first, work);
  const auto count = std::min(nodes[0].size(), nodes[1].size());
  for (std::size_t i = 0; i < count; ++i) pair(partners, nodes[0][i], nodes[1][i]);
  Pairs all(communicator, stream, partners);
  const double together = static_cast<double>(count * large) / all.exchange_seconds(large);
  costs.links =
      std::clamp(static_cast<int>(std::lround(together / costs.between->bytes_per_second)), 1,
                 static_cast<int>(count));
  costs.between->bytes_per_second =
      std::max(costs.between->bytes_per_second, together / costs.links);
  return costs;
}

}  // namespace annulus::measure
