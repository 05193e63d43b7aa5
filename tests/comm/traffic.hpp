#pragma once
// Random exchanges between all ranks, of which many are under way at once.

#include <algorithm>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "comm/transport.hpp"

namespace annulus::comm {

/// A message of a test, and what is in it.
struct Letter {
  int from;
  int to;
  Bytes bytes;
};

/// Exchanges one after the other, each with its letters: any number between any ranks, several
/// between the same two and to the sender itself among them. The same on every rank.
inline std::vector<std::vector<Letter>> random_traffic(int ranks, int exchanges,
                                                       std::uint64_t seed) {
  constexpr std::size_t lengths[] = {0, 1, 7, 999, 1000, 1001, 4099, 30011};
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t end) { return random() % end; };
  std::vector<std::vector<Letter>> traffic(static_cast<std::size_t>(exchanges));
  for (auto& letters : traffic) {
    const std::size_t count = 1 + below(2 * static_cast<std::size_t>(ranks));
    for (std::size_t i = 0; i < count; ++i) {
      const auto from = static_cast<int>(below(static_cast<std::size_t>(ranks)));
      const auto to = static_cast<int>(below(static_cast<std::size_t>(ranks)));
      letters.push_back({from, to, random_bytes(lengths[below(std::size(lengths))], random())});
    }
  }
  return traffic;
}

/// Exchanges that are under way, and the order in which they are looked at and waited for.
class UnderWay {
 public:
  explicit UnderWay(std::uint64_t seed) : random_(seed) {}

  /// Adds one, and sometimes looks at some of them or waits for one.
  void add(std::unique_ptr<Exchange> exchange) {
    exchanges_.push_back(std::move(exchange));
    if (random_() % 3 == 0) exchanges_[random_() % exchanges_.size()]->poll();
    if (random_() % 4 == 0) end_one();
  }

  void end_all() {
    while (!exchanges_.empty()) end_one();
  }

 private:
  void end_one() {
    const auto chosen =
        exchanges_.begin() + static_cast<std::ptrdiff_t>(random_() % exchanges_.size());
    switch (random_() % 3) {
      case 0:
        (*chosen)->wait();
        break;
      case 1:
        while (!(*chosen)->poll()) std::this_thread::yield();
        break;
      default:
        break;  // its destructor waits
    }
    exchanges_.erase(chosen);
  }

  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace annulus::comm
