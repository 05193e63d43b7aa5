// What only MPI has: return codes, error handlers, borrowed communicators, nodes.

#include "annulus/comm/mpi.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/mpi_call.hpp"
#include "support/model_device.hpp"

namespace annulus::comm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

// The last rank sends late; rank 0, which waits, says so, and nobody else does.
TEST(Mpi, SaysForWhomARankWaits) {
  std::vector<std::string> said;
  const Watch watch{.patience = std::chrono::seconds(1),
                    .say = [&](const std::string& line) { said.push_back(line); }};
  const auto world = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, usual_largest_message,
                                                       DevicePath::staged, watch);
  const int last = world->size() - 1;
  if (last == 0) return;
  std::vector<std::byte> data(1009);
  world->barrier();
  if (world->rank() == last) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  if (world->rank() == 0) world->exchange(std::nullopt, Receive{last, data})->wait();
  if (world->rank() == last) world->exchange(Send{0, data}, std::nullopt)->wait();
  if (world->rank() == 0) {
    EXPECT_THAT(said, ElementsAre(fmt::format("rank 0 on host {0} has waited 1 s for rank {1} on "
                                              "host {0}",
                                              host_name(), last)));
  } else {
    EXPECT_THAT(said, IsEmpty());
  }
}

// The last rank stays away for longer than the others wait, from an exchange and from collectives.
TEST(Mpi, WaitsNoLongerThanTheTimeout) {
  using Call = std::function<void(Communicator&)>;
  std::vector<double> numbers(3);
  std::vector<Index> counts(3);
  std::vector<std::byte> bytes(1009);
  std::vector<Call> calls{
      nullptr,
      [](Communicator& world) { world.barrier(); },
      [&](Communicator& world) { world.broadcast(bytes, world.size() - 1); },
      [&](Communicator& world) { world.all_reduce(numbers, Reduction::sum); },
      [&](Communicator& world) { world.all_reduce(numbers, Reduction::maximum); },
      [&](Communicator& world) { world.all_reduce(counts, Reduction::sum); },
      [&](Communicator& world) { static_cast<void>(world.all_gather(bytes)); }};
  // Every call takes a second and a half: of more ranks than three, one of each kind is tried.
  if (mpi(MPI_COMM_WORLD).size() > 3) calls.erase(calls.begin() + 2, calls.end() - 1);
  for (const auto& collective : calls) {
    MpiCommunicator world(MPI_COMM_WORLD, usual_largest_message, DevicePath::staged,
                          {.timeout = std::chrono::seconds(1)});
    const int last = world.size() - 1;
    if (last == 0) return;
    std::vector<std::byte> data(1009);
    const auto wait = [&] {
      if (collective) return collective(world);
      if (world.rank() < last) return world.exchange(std::nullopt, Receive{last, data})->wait();
      for (int to = 0; to < last; ++to) world.exchange(Send{to, data}, std::nullopt)->wait();
    };
    if (world.rank() == last) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      // The others have left before the second call of a gather.
      if (&collective == &calls.back()) {
        EXPECT_THROW(wait(), Error);
      } else {
        EXPECT_NO_THROW(wait());
      }
    } else {
      try {
        wait();
        ADD_FAILURE() << "it waited";
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("has waited 1 s for "), HasSubstr("the timeout"),
                                        HasSubstr(collective ? "the other ranks"
                                                             : fmt::format("rank {} on", last))));
      }
    }
    // What was left is over before the communicator is.
    check_mpi(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier", world.rank());
  }
}

// What the model of a CUDA-aware MPI sees: memory of a pool, which some of those that are real fail
// with, never gets there unless a caller gives it.
TEST(Mpi, TakesNoMemoryOfAPool) {
  const auto exchange = [](DevicePath path, device::Allocation allocation) {
    MpiCommunicator world(MPI_COMM_WORLD, usual_largest_message, path);
    const auto stream = test::model_stream(test::Order::early);
    const device::Buffer sent(stream, 1009, allocation);
    const device::Buffer received(stream, 1009, allocation);
    stream->clear(sent.data(), sent.size());
    world
        .exchange_on(*stream, Send{(world.rank() + 1) % world.size(), sent.bytes()},
                     Receive{(world.rank() + world.size() - 1) % world.size(), received.bytes()})
        ->wait();
  };
  EXPECT_NO_THROW(exchange(DevicePath::direct, device::Allocation::exportable));
  EXPECT_NO_THROW(exchange(DevicePath::staged, device::Allocation::stream_ordered));
  try {
    exchange(DevicePath::direct, device::Allocation::stream_ordered);
    ADD_FAILURE() << "no Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("MPI_ERR_BUFFER"));
  }
}

TEST(Mpi, SaysWhatMemoryOfADeviceItExchanges) {
  const auto memory = [](DevicePath path) {
    MpiCommunicator world(MPI_COMM_WORLD, usual_largest_message, path);
    EXPECT_EQ(world.first(1) == nullptr, world.rank() > 0);
    return world.exchanged_memory();
  };
  EXPECT_EQ(memory(DevicePath::direct), device::Allocation::exportable);
  EXPECT_EQ(memory(DevicePath::staged), device::Allocation::stream_ordered);
}

TEST(Mpi, TakesThePathThatTheEnvironmentNames) {
  EXPECT_EQ(choose_device_path(nullptr, false), DevicePath::staged);
  EXPECT_EQ(choose_device_path(nullptr, true), DevicePath::direct);
  for (const bool aware : {false, true}) {
    EXPECT_EQ(choose_device_path("staged", aware), DevicePath::staged);
  }
  EXPECT_EQ(choose_device_path("direct", true), DevicePath::direct);
  const auto message_for = [](const char* wish, bool aware) -> std::string {
    try {
      return std::string(name_of(choose_device_path(wish, aware)));
    } catch (const InputError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(message_for("direct", false),
            "ANNULUS_MPI_DEVICE=direct: this MPI is not CUDA-aware; expected staged");
  for (const bool aware : {false, true}) {
    EXPECT_EQ(message_for("Direct", aware), "ANNULUS_MPI_DEVICE=Direct: expected staged or direct");
    EXPECT_EQ(message_for("", aware), "ANNULUS_MPI_DEVICE=: expected staged or direct");
  }
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
        const device::Buffer received(stream, 100003, world.exchanged_memory());
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
