// Tests that fail on one rank only, to see what the others make of it.

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/mpi.hpp"

namespace annulus::comm {
namespace {

TEST(Verdict, FailsOnTheLastRank) {
  const auto world = mpi(MPI_COMM_WORLD);
  EXPECT_LT(world.rank(), world.size() - 1) << "seen on rank " << world.rank();
}

TEST(Verdict, ThrowsOnTheLastRank) {
  auto world = mpi(MPI_COMM_WORLD);
  if (world.rank() == world.size() - 1) throw Error("thrown in a test");
  world.barrier();
}

}  // namespace
}  // namespace annulus::comm
