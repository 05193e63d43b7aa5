// Who shares a node, and who has which GPU.

#include "comm/nccl_topology.hpp"

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "comm/nccl_world.hpp"

namespace annulus::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(NcclTopology, RanksOfOneHostAreOnOneNode) {
  const auto host = [](int name) { return std::vector(3, static_cast<std::byte>(name)); };
  EXPECT_THAT(nodes_of_hosts({host(7), host(3), host(7), host(5), host(3)}),
              ElementsAre(0, 1, 0, 2, 1));
  EXPECT_EQ(this_host(), this_host());
  EXPECT_GT(this_host().size(), 1U);
}

TEST(NcclTopology, IsThatOfTheHostCommunicatorWhereThereIsOne) {
  run_nccl(even_topology(4, 2), test::Order::early, {}, [](Communicator& world, const auto&) {
    EXPECT_THAT(world.topology().node_of, ElementsAre(0, 0, 1, 1));
    const auto part = world.first(3);
    if (part) {
      EXPECT_THAT(part->topology().node_of, ElementsAre(0, 0, 1));
    }
  });
  EXPECT_EQ(test::ModelNccl::misuse(), "");
}

// As a training framework does, which has no communicator of the host.
TEST(NcclTopology, IsFoundWhereRanksHaveAnIdOnly) {
  test::ModelNccl::start();
  const auto id = make_nccl_id();
  EXPECT_NE(make_nccl_id().bytes, id.bytes);
  run_threads(3, [&](Communicator& launcher) {
    const auto world = nccl(id, 3, launcher.rank(), test::model_stream(test::Order::late));
    EXPECT_EQ(world->rank(), launcher.rank());
    EXPECT_THAT(world->topology().node_of, ElementsAre(0, 0, 0));
    EXPECT_EQ(world->name(), "nccl");
    EXPECT_EQ(world->library(), test::ModelNccl::library());
  });
  EXPECT_EQ(test::ModelNccl::misuse(), "");
  EXPECT_EQ(test::ModelNccl::alive(), 0);
}

std::string refusal_of(const std::vector<int>& node_of, const std::vector<std::string>& gpus) {
  try {
    check_gpus({.ranks = static_cast<int>(gpus.size()), .node_of = node_of}, gpus);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(NcclTopology, RefusesTwoRanksOnOneGpu) {
  EXPECT_THAT(refusal_of({0, 0, 0}, {"65", "b3", "65"}),
              AllOf(HasSubstr("ranks 0 and 2"), HasSubstr("GPU 65"), HasSubstr("threads:P")));
  EXPECT_EQ(refusal_of({0, 0, 0}, {"65", "b3", "ca"}), "");
  EXPECT_EQ(refusal_of({0, 0, 1, 1}, {"65", "b3", "65", "b3"}), "") << "of two nodes";
}

TEST(NcclTopology, EveryRankHearsThatThereIsNoGpu) {
  if (gpu_problem().empty()) return;  // what there is depends on the machine
  int refused = 0;
  std::mutex mutex;
  run_threads(3, [&](Communicator& host) {
    try {
      static_cast<void>(nccl_device(host));
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(gpu_problem()));
      const std::lock_guard held(mutex);
      ++refused;
    }
  });
  EXPECT_EQ(refused, 3);
}

}  // namespace
}  // namespace annulus::comm
