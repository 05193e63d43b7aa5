// Memory that ranks of a node read and write in place, and the ticks that order it.

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "annulus/base/error.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

/// The ranks of the node of `world.rank()`.
std::vector<int> peers_of(const Communicator& world) {
  for (const auto& ranks : ranks_of_nodes(world.topology())) {
    if (std::ranges::find(ranks, world.rank()) != ranks.end()) return ranks;
  }
  return {};
}

/// What rank `rank` writes in `round`.
Bytes contents(int rank, Index round) {
  return random_bytes(70001, static_cast<std::uint64_t>(1000 * round + rank));
}

TEST_P(Transport, ReadsWhatPeersWroteBeforeTheirTick) {
  on_ranks([](Communicator& world) {
    auto& memory = world.shared_memory(70001);
    const auto peers = peers_of(world);
    Index tick = memory.tick();
    for (Index round = 0; round < 20; ++round) {
      std::ranges::copy(contents(world.rank(), round), memory.of(world.rank()).begin());
      memory.announce(++tick);
      for (const int peer : peers) {
        memory.wait_for(peer, tick, {});
        const auto expected = contents(peer, round);
        EXPECT_TRUE(std::ranges::equal(memory.of(peer).first(expected.size()), expected));
      }
      memory.announce(++tick);  // has read all
      for (const int peer : peers) memory.wait_for(peer, tick, {});
    }
  });
}

// Each adds to the region of rank 0 after the one before it: no sum is lost.
TEST_P(Transport, PeersWriteInTurns) {
  on_ranks([](Communicator& world) {
    auto& memory = world.shared_memory(8);
    const auto peers = peers_of(world);
    const auto place = std::ranges::find(peers, world.rank()) - peers.begin();
    auto& sum = *reinterpret_cast<Index*>(memory.of(peers.front()).data());
    const Index start = memory.tick();
    if (place == 0) sum = 0;
    const auto count = static_cast<Index>(peers.size());
    for (Index round = 0; round < 50; ++round) {
      const int before = peers[static_cast<std::size_t>((place + count - 1) % count)];
      const bool first = round == 0 && place == 0;
      if (!first) memory.wait_for(before, start + (place == 0 ? round : round + 1), {});
      EXPECT_EQ(sum, round * count + place);
      ++sum;
      memory.announce(start + round + 1);
    }
  });
}

TEST_P(Transport, SharedMemoryGrowsAndIsReused) {
  on_ranks([](Communicator& world) {
    auto& small = world.shared_memory(10);
    EXPECT_GE(small.bytes(), 10);
    const auto* before = small.of(world.rank()).data();
    small.announce(small.tick() + 3);
    world.barrier();
    EXPECT_EQ(world.shared_memory(10).of(world.rank()).data(), before);
    auto& large = world.shared_memory(100003);
    EXPECT_GE(large.bytes(), 100003);
    EXPECT_EQ(large.tick(), 0) << "new memory, new ticks";
    for (const int peer : peers_of(world)) EXPECT_EQ(large.of(peer).size(), 100003U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.of(world.rank()).data()) % 64, 0U);
    world.barrier();
  });
}

TEST_P(Transport, PollsWhileItWaitsForATick) {
  on_ranks([](Communicator& world) {
    if (world.size() == 1) return;
    auto& memory = world.shared_memory(1);
    const Index next = memory.tick() + 1;
    int polls = 0;
    world.barrier();
    if (world.rank() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      memory.announce(next);
    } else {
      memory.wait_for(0, next, [&] { ++polls; });
      EXPECT_GT(polls, 0);
      memory.announce(next);
    }
    world.barrier();
    EXPECT_THROW(memory.announce(next), Error) << "ticks rise";
  });
}

}  // namespace
}  // namespace annulus::comm
