// Measurements of messages between devices over MPI that is given their addresses, on models of
// both.
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "annulus/comm/mpi.hpp"
#include "annulus/measure/link_cost.hpp"
#include "annulus/measure/transfers.hpp"
#include "annulus/plan/planner.hpp"
#include "support/model_device.hpp"

namespace annulus::measure {
namespace {

TEST(MeasureOverMpi, ExchangesWhatMpiTakes) {
  comm::MpiCommunicator world(MPI_COMM_WORLD, comm::usual_largest_message,
                              comm::DevicePath::direct);
  const std::shared_ptr<device::Stream> stream = test::model_stream(test::Order::early);
  const auto plan = make_plan({.head_dim = 8, .documents = Documents::single(64)}, world.topology(),
                              {.schedule = Schedule::ring});
  EXPECT_GT(seconds_of_transfers_alone(plan, Pass::backward, world, stream), 0);
  const auto costs = measure_link_costs(world, stream, [](const kernels::Poll& poll) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    poll();
  });
  ASSERT_TRUE(costs.inside.has_value());
  EXPECT_GT(costs.inside->bytes_per_second, 0);
}

}  // namespace
}  // namespace annulus::measure
