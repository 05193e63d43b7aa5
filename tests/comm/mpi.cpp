// What only MPI has: return codes, error handlers, borrowed communicators, nodes.

#include "annulus/comm/mpi.hpp"

#include <array>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/mpi_call.hpp"
#include "support/model_device.hpp"

namespace annulus::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Mpi, TurnsAnErrorOfMpiIntoOneLine) {
  const auto world = mpi(MPI_COMM_WORLD);
  // The communicator returns errors: otherwise this call would end the job.
  const int code = MPI_Send(nullptr, 0, MPI_BYTE, world.size(), 0, world.handle());
  try {
    check_mpi(code, "MPI_Send", world.rank());
    ADD_FAILURE() << "no Error";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_THAT(message, AllOf(HasSubstr("MPI_Send failed on rank " + std::to_string(world.rank())),
                               HasSubstr("MPI_ERR_RANK"), HasSubstr("comm/mpi.cpp:")));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(Mpi, LeavesTheBorrowedCommunicatorAsItWas) {
  for (const MPI_Errhandler handler : {MPI_ERRORS_ARE_FATAL, MPI_ERRORS_RETURN}) {
    MPI_Comm borrowed = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &borrowed), "MPI_Comm_dup", 0);
    check_mpi(MPI_Comm_set_errhandler(borrowed, handler), "MPI_Comm_set_errhandler", 0);
    {
      const auto world = mpi(borrowed);
      int comparison = MPI_UNEQUAL;
      check_mpi(MPI_Comm_compare(borrowed, world.handle(), &comparison), "MPI_Comm_compare", 0);
      EXPECT_EQ(comparison, MPI_CONGRUENT) << "the same ranks, other messages";
    }
    MPI_Errhandler after = MPI_ERRHANDLER_NULL;
    check_mpi(MPI_Comm_get_errhandler(borrowed, &after), "MPI_Comm_get_errhandler", 0);
    EXPECT_EQ(after, handler);
    check_mpi(MPI_Comm_free(&borrowed), "MPI_Comm_free", 0);
  }
}

TEST(Mpi, RefusesMessagesThatAnIntCannotCount) {
  const Index most = std::numeric_limits<int>::max();
  EXPECT_THROW(MpiCommunicator(MPI_COMM_WORLD, 0), Error);
  EXPECT_THROW(MpiCommunicator(MPI_COMM_WORLD, most + 1), Error);
  EXPECT_NO_THROW(MpiCommunicator(MPI_COMM_WORLD, most));
}

TEST(Mpi, RefusesNoCommunicator) {
  EXPECT_THROW(MpiCommunicator{MPI_COMM_NULL}, Error);
}

TEST(Mpi, NamesTheLibrary) {
  const auto world = mpi(MPI_COMM_WORLD);
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version", 0);
  EXPECT_THAT(std::string(text.data()), HasSubstr(world.library()));
  EXPECT_FALSE(world.library().empty());
}

// Ranks in the opposite order of the processes: nodes are still numbered from rank 0.
TEST(Mpi, NumbersNodesByTheirLowestRank) {
  const auto world = mpi(MPI_COMM_WORLD);
  MPI_Comm reversed = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, 0, -world.rank(), &reversed), "MPI_Comm_split", 0);
  {
    const auto other = mpi(reversed);
    EXPECT_EQ(other.rank(), world.size() - 1 - world.rank());
    EXPECT_EQ(other.topology().node_of, std::vector<int>(static_cast<std::size_t>(other.size())));
  }
  check_mpi(MPI_Comm_free(&reversed), "MPI_Comm_free", 0);
}

// Every rank fails here, each with an exchange that no peer completes; none may wait for another.
TEST(Mpi, DoesNotWaitForPeersWhileThrowing) {
  std::vector<std::byte> received(100003);
  const auto fail = [&] {
    MpiCommunicator world(MPI_COMM_WORLD);
    const int from = (world.rank() + 1) % world.size();
    if (world.size() == 1) throw Error("in the middle");
    const auto exchange = world.exchange(std::nullopt, Receive{from, received});
    throw Error("in the middle");
  };
  EXPECT_THROW(fail(), Error);
}

// The same on a device, one exchange that has started and one that waits for the device; what is
// freed after it is not in use.
TEST(Mpi, DoesNotWaitForPeersOnADeviceWhileThrowing) {
  for (const auto path : {DevicePath::direct, DevicePath::staged}) {
    for (const auto order : {test::Order::early, test::Order::late}) {
      const auto device = std::make_shared<test::ModelDevice>(order);
      const auto stream = std::make_shared<test::ModelStream>(device);
      const auto fail = [&] {
        MpiCommunicator world(MPI_COMM_WORLD, Index{1} << 30, path);
        const int from = (world.rank() + 1) % world.size();
        if (world.size() == 1) throw Error("in the middle");
        const device::Buffer received(stream, 100003);
        stream->enqueue([] {});
        const auto exchange =
            world.exchange_on(*stream, std::nullopt, Receive{from, received.bytes()});
        throw Error("in the middle");
      };
      EXPECT_THROW(fail(), Error);
      stream->synchronize();
      stream->transfers().synchronize();
      EXPECT_FALSE(device->failed());
      EXPECT_EQ(device->bytes_in_use(), 0U);
    }
  }
}

}  // namespace
}  // namespace annulus::comm
