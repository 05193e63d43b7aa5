#pragma once
// Ranks that the model of NCCL joins, each on a thread with a device of its own.

#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include "annulus/comm/nccl.hpp"
#include "annulus/comm/threads.hpp"
#include "comm/device_transport.hpp"
#include "support/model_nccl.hpp"

namespace annulus::comm {

using NcclBody = DeviceWorld::Body;

/// Runs `body` on each rank of a topology, with a stream that is not the communicator's own. Throws
/// what the first rank throws that fails.
inline void run_nccl(const Topology& topology, test::Order order, const NcclOptions& options,
                     const NcclBody& body, const test::NcclConditions& conditions = {}) {
  test::ModelNccl::start(conditions);
  run_threads(topology, [&](Communicator& host) {
    const auto device = std::make_shared<test::ModelDevice>(order);
    {
      const auto world = nccl(host, std::make_shared<test::ModelStream>(device), options);
      body(*world, std::make_shared<test::ModelStream>(device));
    }
    EXPECT_EQ(device->bytes_in_use(), 0U);
  });
}

/// The same for ranks that have to do everything right: NCCL is used as it allows, and nothing of
/// it is left over.
inline void run_nccl(int ranks, test::Order order, const NcclBody& body) {
  run_nccl(even_topology(ranks, ranks), order, {.timeout = 60}, body);
  EXPECT_EQ(test::ModelNccl::misuse(), "");
  EXPECT_EQ(test::ModelNccl::alive(), 0);
  EXPECT_EQ(test::ModelNccl::aborted(), 0);
}

/// Every rank with a device of its own, early and late.
inline std::vector<DeviceWorld> nccl_device_worlds() {
  std::vector<DeviceWorld> worlds;
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    for (const auto order : {test::Order::early, test::Order::late}) {
      worlds.push_back({"nccl_" + std::to_string(ranks) + "_" + name_of(order),
                        [ranks, order](const NcclBody& body) { run_nccl(ranks, order, body); }});
    }
  }
  return worlds;
}

}  // namespace annulus::comm
