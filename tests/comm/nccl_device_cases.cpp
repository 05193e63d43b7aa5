// What only exchanges over NCCL do: what they come before and after, and what the host waits for.

#include <latch>
#include <thread>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "comm/nccl_world.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;

class NcclDevice : public DeviceTransport {};

INSTANTIATE_TEST_SUITE_P(Nccl, NcclDevice, testing::ValuesIn(nccl_device_worlds()),
                         name_of_device_world);

Bytes bytes_of(int rank) {
  return random_bytes(10007, static_cast<std::uint64_t>(rank) + 1);
}

TEST_P(NcclDevice, CommunicatorsOfAllRanksShareOneOfNccl) {
  on_ranks([](Communicator& world, const DeviceStream&) {
    const auto other = world.first(world.size());
    world.barrier();
    EXPECT_EQ(test::ModelNccl::made(), world.size());
    other->barrier();
  });
}

// What waits comes after what does not, and before what follows.
TEST_P(NcclDevice, WhatWaitsComesAfterExchangesUnderWay) {
  using Call = std::function<void(Communicator&)>;
  const Call calls[] = {
      [](Communicator& world) {
        Index one = 1;
        world.all_reduce(std::span(&one, 1), Reduction::sum);
        EXPECT_EQ(one, world.size());
      },
      [](Communicator& world) {
        const Bytes sent = random_bytes(999, static_cast<std::uint64_t>(world.rank()));
        Bytes received(sent.size());
        world.exchange(Send{next_of(world), sent}, Receive{previous_of(world), received})->wait();
        EXPECT_EQ(received, random_bytes(999, static_cast<std::uint64_t>(previous_of(world))));
      },
      [](Communicator& world) { EXPECT_EQ(world.first(1) == nullptr, world.rank() > 0); }};
  on_ranks([&](Communicator& world, const DeviceStream& stream) {
    for (const auto& call : calls) {
      const Buffer sent = on_device(world, stream, bytes_of(world.rank()));
      const Buffer received(stream, sent.size());
      const auto exchange = world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                              Receive{previous_of(world), received.bytes()});
      call(world);
      exchange->wait();
      EXPECT_TRUE(on_host(stream, received.bytes()) == bytes_of(previous_of(world)));
    }
  });
}

TEST_P(NcclDevice, RefusesPeersThatAreNotThereAndOtherGpus) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const auto refuses = [&](device::Stream& on, int to) {
      const Buffer data(stream, 3);
      EXPECT_THROW(static_cast<void>(world.exchange_on(on, Send{to, data.bytes()}, std::nullopt)),
                   Error);
    };
    refuses(*stream, world.size());
    refuses(*stream, world.rank());
    test::ModelStream elsewhere(std::make_shared<test::ModelDevice>(test::Order::early, 1));
    refuses(elsewhere, next_of(world));
    EXPECT_THROW(static_cast<void>(world.shared_memory(1)), Error);
    world.barrier();
  });
}

// The host goes on while the bytes are on their way, and poll() says when they are there.
TEST(NcclHost, DoesNotWaitForBytes) {
  for (const auto order : {test::Order::early, test::Order::late}) {
    std::latch waited(1);
    run_nccl(2, order, [&](Communicator& world, const DeviceStream& stream) {
      const Buffer memory = on_device(world, stream, bytes_of(0));
      const bool sends = world.rank() == 0;
      const auto start = [&] {
        return sends ? world.exchange_on(*stream, Send{1, memory.bytes()}, std::nullopt)
                     : world.exchange_on(*stream, std::nullopt, Receive{0, memory.bytes()});
      };
      start()->wait();  // the ranks know each other
      if (sends) waited.wait();
      const auto exchange = start();
      if (!sends) {
        for (int look = 0; look < 20; ++look) EXPECT_FALSE(exchange->poll());
        exchange->wait();
        for (int look = 0; look < 20; ++look) world.check();
        EXPECT_FALSE(stream->idle());
        waited.count_down();
      } else {
        exchange->wait();
      }
      EXPECT_TRUE(on_host(stream, memory.bytes()) == bytes_of(0));
    });
  }
}

// An exchange whose turn has not come is not late, however long the work before takes.
TEST(NcclHost, DoesNotCountTheWorkBefore) {
  run_nccl(even_topology(2, 2), test::Order::late, {.timeout = 1},
           [&](Communicator& world, const DeviceStream& stream) {
             const Buffer sent = on_device(world, stream, bytes_of(world.rank()));
             const Buffer received(stream, sent.size());
             const auto start = [&] {
               return world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                        Receive{next_of(world), received.bytes()});
             };
             start()->wait();
             const auto begin = std::chrono::steady_clock::now();
             const auto passed = [begin](double seconds) {
               return std::chrono::steady_clock::now() - begin >
                      std::chrono::duration<double>(seconds);
             };
             model_of(stream).enqueue_until([passed] { return passed(1.5); });
             start()->wait();
             while (!stream->idle()) {
               world.check();
               std::this_thread::yield();
             }
             EXPECT_TRUE(passed(1.5));
             EXPECT_TRUE(on_host(stream, received.bytes()) == bytes_of(next_of(world)));
           });
  EXPECT_EQ(test::ModelNccl::misuse(), "");
  EXPECT_EQ(test::ModelNccl::aborted(), 0);
}

}  // namespace
}  // namespace annulus::comm
