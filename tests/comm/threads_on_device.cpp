// Threads that pass bytes from device to device: who waits for whom, and what happens to the
// others when one of them fails.

#include <atomic>
#include <chrono>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "comm/device_transport.hpp"
#include "comm/staged_communicator.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;
using test::Order;
using testing::HasSubstr;

constexpr std::size_t bytes = 1009;

using Body = DeviceWorld::Body;

/// How bytes go from device to device.
enum class Way { direct, staged };

/// What run_threads throws, whose ranks share `device`.
std::string error_of(int ranks, const std::shared_ptr<test::ModelDevice>& device, const Body& body,
                     Way way = Way::direct) {
  try {
    run_threads(ranks, [&](Communicator& world) {
      StagedCommunicator staged(world);
      body(way == Way::staged ? staged : world, std::make_shared<test::ModelStream>(device));
    });
  } catch (const std::exception& error) {
    EXPECT_EQ(device->bytes_in_use(), 0U);
    return error.what();
  }
  return "no exception";
}

std::string error_of(int ranks, Order order, const Body& body, Way way = Way::direct) {
  return error_of(ranks, std::make_shared<test::ModelDevice>(order), body, way);
}

TEST(ThreadsOnDevice, NobodyWaitsForTheDevice) {
  const auto device = std::make_shared<test::ModelDevice>(Order::late);
  run_threads(3, [&](Communicator& world) {
    const auto stream = std::make_shared<test::ModelStream>(device);
    const auto worked = std::make_shared<std::atomic<bool>>(false);
    const Buffer sent = on_device(world, stream, Bytes(bytes));
    const Buffer received(stream, bytes);
    stream->enqueue([worked] { *worked = true; });
    for (int step = 0; step < 2; ++step) {
      end(*world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                             Receive{previous_of(world), received.bytes()}),
          step);
    }
    world.barrier();
    EXPECT_FALSE(*worked);
    world.barrier();
    stream->synchronize();
    EXPECT_TRUE(*worked);
  });
}

/// What a rank waits in while another one fails.
struct Wait {
  std::string name;
  void (*call)(Communicator&, const DeviceStream&, int failing);
};

const std::vector<Wait>& waits() {
  static const std::vector<Wait> all{
      {"receive",
       [](Communicator& world, const DeviceStream& stream, int failing) {
         const Buffer data(stream, bytes);
         world.exchange_on(*stream, std::nullopt, Receive{failing, data.bytes()})->wait();
       }},
      {"poll",
       [](Communicator& world, const DeviceStream& stream, int failing) {
         const Buffer data(stream, bytes);
         end(*world.exchange_on(*stream, std::nullopt, Receive{failing, data.bytes()}), 1);
       }},
      {"send",
       [](Communicator& world, const DeviceStream& stream, int failing) {
         const Buffer data(stream, bytes);
         world.exchange_on(*stream, Send{failing, data.bytes()}, std::nullopt)->wait();
       }},
      {"destructor",
       [](Communicator& world, const DeviceStream& stream, int failing) {
         const Buffer data(stream, bytes);
         {
           const auto exchange =
               world.exchange_on(*stream, std::nullopt, Receive{failing, data.bytes()});
         }
         world.barrier();
       }},
      {"staged", [](Communicator& world, const DeviceStream& stream, int failing) {
         const Buffer data(stream, bytes);
         StagedCommunicator(world)
             .exchange_on(*stream, Send{failing, data.bytes()}, std::nullopt)
             ->wait();
       }}};
  return all;
}

TEST(ThreadsOnDevice, ARankThatFailsWakesTheOthers) {
  for (const Order order : {Order::early, Order::late}) {
    for (const int ranks : {2, 3, 5}) {
      for (const auto& wait : waits()) {
        std::atomic<int> woken = 0;
        const auto message =
            error_of(ranks, order, [&](Communicator& world, const DeviceStream& stream) {
              if (world.rank() == ranks - 1) throw InputError("the cause");
              try {
                wait.call(world, stream, ranks - 1);
              } catch (const Error& error) {
                EXPECT_EQ(std::string(error.what()),
                          "rank " + std::to_string(ranks - 1) + " gave up");
                ++woken;
                throw;
              }
            });
        EXPECT_EQ(message, "the cause") << wait.name;
        EXPECT_EQ(woken, ranks - 1) << wait.name;
      }
    }
  }
}

TEST(ThreadsOnDevice, TellsOfARankThatIsWaitedForInVain) {
  for (const auto& wait : waits()) {
    EXPECT_THAT(error_of(3, Order::late,
                         [&](Communicator& world, const DeviceStream& stream) {
                           if (world.rank() != 2) wait.call(world, stream, 2);
                         }),
                HasSubstr("waits for rank 2, which has already returned"))
        << wait.name;
  }
}

TEST(ThreadsOnDevice, TellsBothOfLengthsThatDiffer) {
  for (const auto way : {Way::direct, Way::staged}) {
    std::atomic<int> told = 0;
    const auto message = error_of(
        2, Order::late,
        [&](Communicator& world, const DeviceStream& stream) {
          const Buffer data(stream, 20);
          try {
            if (world.rank() == 0) {
              world.exchange_on(*stream, Send{1, data.bytes().first(10)}, std::nullopt)->wait();
            } else {
              world.exchange_on(*stream, std::nullopt, Receive{0, data.bytes()})->wait();
            }
          } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("rank 1 expects 20 bytes"));
            ++told;
            throw;
          }
        },
        way);
    EXPECT_THAT(message, HasSubstr("rank 1 expects 20 bytes from rank 0, which sends 10"));
    EXPECT_EQ(told, 2);
  }
}

TEST(ThreadsOnDevice, RefusesToReceiveOnTheHostWhatADeviceSends) {
  std::atomic<int> told = 0;
  const auto message =
      error_of(2, Order::early, [&](Communicator& world, const DeviceStream& stream) {
        const Buffer sent(stream, bytes);
        Bytes received(bytes);
        try {
          if (world.rank() == 0) {
            world.exchange_on(*stream, Send{1, sent.bytes()}, std::nullopt)->wait();
          } else {
            world.exchange(std::nullopt, Receive{0, received})->wait();
          }
        } catch (const Error&) {
          ++told;
          throw;
        }
      });
  EXPECT_EQ(message, "rank 1 receives in memory of cpu what rank 0 sends from memory of cuda");
  EXPECT_EQ(told, 2);
}

// The device of the receiver refuses to read memory of the host; its sender does not wait for ever.
TEST(ThreadsOnDevice, ACopyThatFailsEndsBoth) {
  std::atomic<int> told = 0;
  const auto message =
      error_of(2, Order::early, [&](Communicator& world, const DeviceStream& stream) {
        const Bytes sent(bytes);
        const Buffer received(stream, bytes);
        try {
          if (world.rank() == 0) {
            world.exchange_on(*stream, Send{1, sent}, std::nullopt)->wait();
          } else {
            world.exchange_on(*stream, std::nullopt, Receive{0, received.bytes()})->wait();
          }
        } catch (const Error&) {
          ++told;
          throw;
        }
      });
  EXPECT_THAT(message, HasSubstr("neither the device's nor pinned"));
  EXPECT_EQ(told, 2);
}

// Rank 0 throws in the middle of an exchange and takes its memory and its stream with it, when rank
// 1 has taken the message, but its device has yet to read it.
TEST(ThreadsOnDevice, WhatAPeerHasTakenIsReadBeforeItsSenderFreesIt) {
  std::atomic<bool> taken = false;
  std::atomic<bool> gone = false;
  const Bytes expected = random_bytes(bytes, 7);
  const auto device = std::make_shared<test::ModelDevice>(Order::late);
  const auto send_and_throw = [&](Communicator& world) {
    const auto stream = std::make_shared<test::ModelStream>(device);
    const Buffer sent = on_device(world, stream, expected);
    const Buffer received(stream, bytes);
    const auto exchange =
        world.exchange_on(*stream, Send{1, sent.bytes()}, Receive{1, received.bytes()});
    while (!taken) std::this_thread::yield();
    throw InputError("in the middle");
  };
  const auto receive = [&](Communicator& world) {
    const auto stream = std::make_shared<test::ModelStream>(device);
    const Buffer received(stream, bytes);
    world.exchange_on(*stream, std::nullopt, Receive{0, received.bytes()})->wait();
    taken = true;
    while (!gone) std::this_thread::yield();
    EXPECT_TRUE(on_host(stream, received.bytes()) == expected);
  };
  const auto body = [&](Communicator& world) {
    if (world.rank() == 1) return receive(world);
    try {
      send_and_throw(world);
    } catch (const Error&) {
      gone = true;
      throw;
    }
  };
  EXPECT_THROW(run_threads(2, body), InputError);
  EXPECT_FALSE(device->failed());
}

// The same, when rank 1 is just taking the message: rank 2 keeps the device busy meanwhile. Where
// the threads meet otherwise, rank 1 hears that rank 0 gave up.
TEST(ThreadsOnDevice, WhatAPeerIsTakingIsReadBeforeItsSenderFreesIt) {
  const Bytes expected = random_bytes(bytes, 7);
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  for (int repetition = 0; repetition < 10; ++repetition) {
    std::atomic<int> ready = 0;
    std::atomic<bool> busy = false;
    std::atomic<bool> throwing = false;
    std::atomic<bool> gone = false;
    const auto device = std::make_shared<test::ModelDevice>(Order::late);
    const auto send_and_throw = [&](Communicator& world) {
      const auto stream = std::make_shared<test::ModelStream>(device);
      const Buffer sent = on_device(world, stream, expected);
      const auto exchange = world.exchange_on(*stream, Send{1, sent.bytes()}, std::nullopt);
      ++ready;
      while (!busy) std::this_thread::yield();
      pause();
      throwing = true;
      throw InputError("in the middle");
    };
    const auto receive = [&](Communicator& world) {
      const auto stream = std::make_shared<test::ModelStream>(device);
      const Buffer received(stream, bytes);
      const auto exchange = world.exchange_on(*stream, std::nullopt, Receive{0, received.bytes()});
      ++ready;
      while (!busy) std::this_thread::yield();
      exchange->wait();
      while (!gone) std::this_thread::yield();
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected);
    };
    const auto keep_busy = [&] {
      const auto stream = std::make_shared<test::ModelStream>(device);
      stream->enqueue([&] {
        busy = true;
        while (!throwing) std::this_thread::yield();
        pause();
      });
      while (ready < 2) std::this_thread::yield();
      stream->synchronize();
    };
    const auto body = [&](Communicator& world) {
      if (world.rank() == 1) return receive(world);
      if (world.rank() == 2) return keep_busy();
      try {
        send_and_throw(world);
      } catch (const Error&) {
        gone = true;
        throw;
      }
    };
    EXPECT_THROW(run_threads(3, body), InputError);
    EXPECT_FALSE(device->failed());
  }
}

// An exchange that no peer completes: what is freed after it is not in use, in whatever order the
// streams get there.
TEST(ThreadsOnDevice, WhatIsFreedWhileThrowingIsNotInUse) {
  for (const auto way : {Way::direct, Way::staged}) {
    const auto throw_in_the_middle = [&](Communicator& world, const DeviceStream& stream) {
      const Buffer sent = on_device(world, stream, Bytes(bytes));
      const Buffer received(stream, bytes);
      const auto exchange = world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                              Receive{previous_of(world), received.bytes()});
      throw InputError("in the middle");
    };
    const auto device = std::make_shared<test::ModelDevice>(Order::late);
    const auto body = [&](Communicator& world, const DeviceStream& stream) {
      EXPECT_THROW(throw_in_the_middle(world, stream), Error);
      stream->synchronize();
      stream->transfers().synchronize();
      throw InputError("for good");
    };
    EXPECT_EQ(error_of(2, device, body, way), "for good");
    EXPECT_FALSE(device->failed());
  }
}

// Whatever has been enqueued by then, nothing hangs, and no memory is used that is gone.
TEST(ThreadsOnDevice, FailsAtAnyMomentWithoutHarm) {
  for (const auto way : {Way::direct, Way::staged}) {
    for (int repetition = 0; repetition < 100; ++repetition) {
      const auto device =
          std::make_shared<test::ModelDevice>(repetition % 2 == 0 ? Order::late : Order::early);
      std::atomic<int> steps = 0;
      EXPECT_EQ(error_of(
                    4, device,
                    [&](Communicator& world, const DeviceStream& stream) {
                      for (int step = 0;; ++step) {
                        const Buffer sent = on_device(world, stream, random_bytes(bytes, 1));
                        const Buffer received(stream, bytes);
                        const auto exchange =
                            world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                              Receive{previous_of(world), received.bytes()});
                        if (++steps > repetition / 2) throw InputError("enough");
                        end(*exchange, step);
                        static_cast<void>(world.all_gather({}));
                      }
                    },
                    way),
                "enough");
      EXPECT_FALSE(device->failed());
    }
  }
}

}  // namespace
}  // namespace annulus::comm
