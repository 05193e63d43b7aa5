// Several exchanges under way at once: order is all by which ranks tell messages apart.

#include <array>

#include "comm/traffic.hpp"

namespace annulus::comm {
namespace {

TEST_P(Transport, EndsExchangesInAnotherOrderThanTheyStart) {
  on_ranks([](Communicator& world) {
    constexpr int count = 6;
    std::array<Bytes, count> sent;
    std::array<Bytes, count> received;
    std::vector<std::unique_ptr<Exchange>> exchanges;
    const auto message_of = [](int rank, int i) {
      return random_bytes(1009, static_cast<std::uint64_t>(100 * rank + i));
    };
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      sent[at] = message_of(world.rank(), i);
      received[at].resize(sent[at].size());
      exchanges.push_back(world.exchange(Send{next_of(world), sent[at]},
                                         Receive{previous_of(world), received[at]}));
    }
    while (!exchanges.empty()) {
      exchanges.back()->wait();
      exchanges.pop_back();
      const auto at = exchanges.size();
      EXPECT_EQ(received[at], message_of(previous_of(world), static_cast<int>(at)));
    }
  });
}

// Rank 0 waits for the second one first; rank 1 sends that when the first one is done.
TEST_P(Transport, WaitsForOneWhileAPeerWaitsForAnother) {
  on_ranks([](Communicator& world) {
    const Bytes first = random_bytes(300007, 1);
    const Bytes second = random_bytes(1009, 2);
    if (world.size() == 1 || world.rank() > 1) return;
    if (world.rank() == 1) {
      world.exchange(Send{0, first}, std::nullopt)->wait();
      world.exchange(Send{0, second}, std::nullopt)->wait();
      return;
    }
    Bytes one(first.size());
    Bytes two(second.size());
    const auto early = world.exchange(std::nullopt, Receive{1, one});
    const auto late = world.exchange(std::nullopt, Receive{1, two});
    late->wait();
    EXPECT_EQ(two, second);
    early->wait();
    EXPECT_EQ(one, first);
  });
}

TEST_P(Transport, SendsToAllAndReceivesFromAllInOneExchange) {
  on_ranks([](Communicator& world) {
    std::vector<Bytes> sent;
    std::vector<Bytes> received;
    for (int step = 0; step < 2; ++step) {
      for (int peer = 0; peer < world.size(); ++peer) {
        sent.push_back(message(world.rank(), peer, step));
        received.emplace_back(message(peer, world.rank(), step).size());
      }
    }
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const int peer = static_cast<int>(i) % world.size();
      sends.push_back({peer, sent[i]});
      receives.push_back({peer, received[i]});
    }
    world.exchange(sends, receives)->wait();
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const int peer = static_cast<int>(i) % world.size();
      EXPECT_EQ(received[i], message(peer, world.rank(), static_cast<int>(i) / world.size()));
    }
  });
}

TEST_P(Transport, PassesRandomTraffic) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    on_ranks([seed](Communicator& world) {
      const auto traffic = random_traffic(world.size(), 30, seed);
      auto received = traffic;
      UnderWay under_way(1000 * seed + static_cast<std::uint64_t>(world.rank()));
      for (auto& letters : received) {
        std::vector<Send> sends;
        std::vector<Receive> receives;
        for (auto& letter : letters) {
          const auto& sent = traffic[static_cast<std::size_t>(&letters - received.data())]
                                    [static_cast<std::size_t>(&letter - letters.data())];
          if (sent.from == world.rank()) sends.push_back({sent.to, sent.bytes});
          if (sent.to != world.rank()) continue;
          std::ranges::fill(letter.bytes, std::byte{0x55});
          receives.push_back({sent.from, letter.bytes});
        }
        if (!sends.empty() || !receives.empty()) under_way.add(world.exchange(sends, receives));
      }
      under_way.end_all();
      for (std::size_t i = 0; i < traffic.size(); ++i) {
        for (std::size_t j = 0; j < traffic[i].size(); ++j) {
          EXPECT_TRUE(received[i][j].bytes == traffic[i][j].bytes)
              << "seed " << seed << ", exchange " << i << ", letter " << j;
        }
      }
    });
  }
}

}  // namespace
}  // namespace annulus::comm
