// The cases of every transport over NCCL, on devices that work early and late.

#include "comm/nccl_world.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

std::vector<World> nccl_worlds() {
  std::vector<World> worlds;
  for (const int ranks : {1, 2, 3, 5, 8}) {
    for (const auto order : {test::Order::early, test::Order::late}) {
      worlds.push_back(
          {"nccl_" + std::to_string(ranks) + (order == test::Order::early ? "_early" : "_late"),
           [ranks, order](const World::Body& body) {
             run_nccl(ranks, order, [&](Communicator& world, const auto&) { body(world); });
           }});
    }
  }
  return worlds;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Nccl, Transport, testing::ValuesIn(nccl_worlds()), name_of_world);

// One stream, one order: a collective comes after the exchanges that were asked for before it.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedTransport);

}  // namespace annulus::comm
