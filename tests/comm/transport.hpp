#pragma once
// What the cases share that every transport has to pass.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/comm/communicator.hpp"
#include "support/world.hpp"

namespace annulus::comm {

class Transport : public testing::TestWithParam<World> {
 protected:
  static void on_ranks(const World::Body& body) { GetParam().run(body); }
};

/// Transports of which a collective does not wait for an exchange that is under way.
class UnorderedTransport : public Transport {};

inline std::string name_of_world(const testing::TestParamInfo<World>& info) {
  return info.param.name;
}

using Bytes = std::vector<std::byte>;

/// Bytes that no other `seed` has (splitmix64).
inline Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (auto& byte : bytes) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    byte = static_cast<std::byte>(z >> 56);
  }
  return bytes;
}

/// What rank `from` sends to rank `to` at some step: the length differs for each of them.
inline Bytes message(int from, int to, int step) {
  constexpr std::size_t lengths[] = {0, 1, 6, 7, 8, 13, 999, 1000, 1001, 4099, 70001, 300007};
  const auto mixed = static_cast<std::size_t>(5 * from + 3 * to + 7 * step);
  return random_bytes(lengths[mixed % std::size(lengths)], (mixed << 8) + 1);
}

inline int next_of(const Communicator& world, int hop = 1) {
  return (world.rank() + hop) % world.size();
}

inline int previous_of(const Communicator& world, int hop = 1) {
  return (world.rank() - hop + world.size()) % world.size();
}

}  // namespace annulus::comm
