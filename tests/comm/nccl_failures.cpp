// What happens to ranks that NCCL joins when one of them, or NCCL, fails: all end, none waits for
// ever.

#include <atomic>
#include <latch>
#include <thread>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/nccl_world.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;
using test::ModelNccl;
using test::NcclConditions;
using test::Order;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

/// Long enough for ranks that answer.
constexpr NcclOptions patient{.timeout = 60};
/// For ranks that do not. They have to answer so fast in the beginning of a test.
constexpr NcclOptions hasty{.timeout = 1};
constexpr NcclConditions silent{.tells_of_aborts = false};

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no exception";
}

/// What run_nccl throws on `ranks` ranks.
std::string failure_of(int ranks, const NcclOptions& options, const NcclBody& body,
                       const NcclConditions& conditions = {}) {
  return message_of(
      [&] { run_nccl(even_topology(ranks, ranks), Order::late, options, body, conditions); });
}

/// As whoever waits for a device does.
void wait_for_device(Communicator& world, device::Stream& stream) {
  while (!stream.idle()) {
    world.check();
    std::this_thread::yield();
  }
}

/// One step around the ring.
void go_around(Communicator& world, const DeviceStream& stream) {
  const Buffer sent(stream, 100);
  const Buffer received(stream, 100);
  world
      .exchange_on(*stream, Send{next_of(world), sent.bytes()},
                   Receive{previous_of(world), received.bytes()})
      ->wait();
  wait_for_device(world, *stream);
}

TEST(NcclFailure, AnAsynchronousErrorEndsTheWait) {
  std::latch gone_around(2);
  const auto message = failure_of(2, patient, [&](Communicator& world, const DeviceStream& stream) {
    go_around(world, stream);
    gone_around.arrive_and_wait();  // else rank 1 may learn of it on its way round
    const Buffer memory(stream, 100);
    if (world.rank() == 0) {
      // Rank 1 has nothing under way, and learns of it where it asks.
      EXPECT_THAT(message_of([&] {
                    world.exchange_on(*stream, std::nullopt, Receive{1, memory.bytes()})->wait();
                    ModelNccl::fail(0, ncclSystemError);
                    while (true) world.check();
                  }),
                  AllOf(HasSubstr("on rank 0"), HasSubstr("unhandled system error"),
                        HasSubstr("as the model has it")));
      EXPECT_THAT(message_of([&] { world.barrier(); }), HasSubstr("unhandled system error"))
          << "it is remembered";
      stream->synchronize();  // aborted: nothing is left on the device
      return;
    }
    EXPECT_THAT(message_of([&] { world.barrier(); }), HasSubstr("remote process exited"));
  });
  EXPECT_EQ(message, "no exception");
  EXPECT_EQ(ModelNccl::aborted(), 2);
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_EQ(ModelNccl::misuse(), "");
}

TEST(NcclFailure, AnAsynchronousErrorEndsPollAndWait) {
  for (const bool polls : {true, false}) {
    std::latch started(2);
    EXPECT_THAT(failure_of(2, patient,
                           [&](Communicator& world, const DeviceStream& stream) {
                             started.arrive_and_wait();  // else rank 0 may fail to start
                             const Buffer memory(stream, 100);
                             if (world.rank() == 0) {
                               EXPECT_THAT(message_of([&] { world.barrier(); }),
                                           HasSubstr("remote process exited"));
                               return;
                             }
                             const auto exchange = world.exchange_on(*stream, std::nullopt,
                                                                     Receive{0, memory.bytes()});
                             ModelNccl::fail(1, ncclInternalError);
                             if (polls) {
                               while (!exchange->poll()) std::this_thread::yield();
                             }
                             exchange->wait();
                           }),
                AllOf(HasSubstr("ncclGroupEnd failed on rank 1"), HasSubstr("internal error")));
    EXPECT_EQ(ModelNccl::alive(), 0);
    EXPECT_EQ(ModelNccl::misuse(), "");
  }
}

TEST(NcclFailure, ARankThatNeverComesEndsTheStart) {
  ModelNccl::start(silent);
  const auto id = make_nccl_id();
  std::atomic<int> ended = 0;
  run_threads(2, [&](Communicator& launcher) {
    const auto stream = test::model_stream(Order::late);
    EXPECT_THAT(
        message_of(
            [&] { static_cast<void>(nccl(id, 3, launcher.rank(), stream, {.timeout = 0.05})); }),
        AllOf(HasSubstr("ncclCommInitRankConfig is not done on rank"), HasSubstr("after 0.05 s")));
    ++ended;
  });
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(ModelNccl::aborted(), 2);
  EXPECT_EQ(ModelNccl::alive(), 0);
}

TEST(NcclFailure, APeerThatNeverSendsEndsTheWaitForTheDevice) {
  std::latch over(1);
  const auto message = failure_of(
      2, hasty,
      [&](Communicator& world, const DeviceStream& stream) {
        go_around(world, stream);
        const Buffer memory(stream, 100);
        if (world.rank() == 1) {
          over.wait();
          return world.barrier();
        }
        world.exchange_on(*stream, std::nullopt, Receive{1, memory.bytes()})->wait();
        EXPECT_THAT(message_of([&] { wait_for_device(world, *stream); }),
                    HasSubstr("an exchange of nccl is not done on rank 0 after 1 s"));
        stream->synchronize();
        over.count_down();
      },
      silent);
  EXPECT_THAT(message, HasSubstr("ncclAllGather is not done on rank 1"));
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_EQ(ModelNccl::misuse(), "");
}

/// What rank 0 waits in while rank 1 does nothing.
struct Wait {
  std::string name;
  std::function<void(Communicator&, const DeviceStream&)> call;

  friend std::ostream& operator<<(std::ostream& out, const Wait& wait) { return out << wait.name; }
};

const std::vector<Wait>& waits() {
  static const std::vector<Wait> all{
      {"send",
       [](Communicator& world, const DeviceStream& stream) {
         const Buffer memory(stream, 100);
         world.exchange_on(*stream, Send{1, memory.bytes()}, std::nullopt)->wait();
         wait_for_device(world, *stream);
       }},
      {"poll",
       [](Communicator& world, const DeviceStream& stream) {
         const Buffer memory(stream, 100);
         const auto exchange = world.exchange_on(*stream, std::nullopt, Receive{1, memory.bytes()});
         while (!exchange->poll()) std::this_thread::yield();
       }},
      {"destructor",
       [](Communicator& world, const DeviceStream& stream) {
         const Buffer memory(stream, 100);
         { const auto dropped = world.exchange_on(*stream, Send{1, memory.bytes()}, std::nullopt); }
         wait_for_device(world, *stream);
         world.check();
       }},
      {"several",
       [](Communicator& world, const DeviceStream& stream) {
         const Buffer memory(stream, 300);
         const auto part = [&](std::size_t i) { return memory.bytes().subspan(100 * i, 100); };
         const auto one = world.exchange_on(*stream, Send{1, part(0)}, std::nullopt);
         const auto two = world.exchange_on(*stream, Send{1, part(1)}, Receive{1, part(2)});
         two->wait();
         one->wait();
         wait_for_device(world, *stream);
       }},
      {"host_receive",
       [](Communicator& world, const DeviceStream&) {
         Bytes data(100);
         world.exchange(std::nullopt, Receive{1, data})->wait();
       }},
      {"barrier", [](Communicator& world, const DeviceStream&) { world.barrier(); }},
      {"broadcast",
       [](Communicator& world, const DeviceStream&) {
         Bytes data(100);
         world.broadcast(data, 1);
       }},
      {"all_reduce",
       [](Communicator& world, const DeviceStream&) {
         double value = 1;
         world.all_reduce(std::span(&value, 1), Reduction::sum);
       }},
      {"all_gather",
       [](Communicator& world, const DeviceStream&) { static_cast<void>(world.all_gather({})); }},
      {"first",
       [](Communicator& world, const DeviceStream&) { static_cast<void>(world.first(1)); }}};
  return all;
}

enum class Peers { strangers, known };  // whether the ranks have exchanged something before

void PrintTo(Peers peers, std::ostream* out) {
  *out << (peers == Peers::known ? "known" : "new");
}

class NcclWait : public testing::TestWithParam<std::tuple<Peers, Wait>> {};

TEST_P(NcclWait, EndsWhereAPeerDoesNotTakePart) {
  const auto& [peers, wait] = GetParam();
  std::latch over(1);
  const auto message = failure_of(
      2, hasty,
      [&, peers = peers, &call = wait.call](Communicator& world, const DeviceStream& stream) {
        if (peers == Peers::known) {
          go_around(world, stream);
          world.barrier();
        }
        if (world.rank() == 1) return over.wait();
        const std::shared_ptr<void> at_the_end(nullptr, [&](void*) { over.count_down(); });
        call(world, stream);
      },
      silent);
  EXPECT_THAT(message, HasSubstr("not done on rank 0 after 1 s"));
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_EQ(ModelNccl::misuse(), "");
}

INSTANTIATE_TEST_SUITE_P(Nccl, NcclWait,
                         testing::Combine(testing::Values(Peers::strangers, Peers::known),
                                          testing::ValuesIn(waits())),
                         [](const auto& test) {
                           return std::get<1>(test.param).name +
                                  (std::get<0>(test.param) == Peers::known ? "_known" : "_new");
                         });

TEST(NcclFailure, ARankThatLeavesLateIsNotWaitedForForEver) {
  ModelNccl::start(silent);
  const auto id = make_nccl_id();
  std::latch left(1);
  run_threads(2, [&](Communicator& launcher) {
    auto world = nccl(id, 2, launcher.rank(), test::model_stream(Order::late), hasty);
    if (launcher.rank() == 1) return left.wait();
    world.reset();
    left.count_down();
  });
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_GE(ModelNccl::aborted(), 1);
}

// Bad input that all ranks learn of together: none hears of anything else.
TEST(NcclFailure, RanksThatFailAlikeDoNotDisturbEachOther) {
  for (int repetition = 0; repetition < 20; ++repetition) {
    std::atomic<int> heard = 0;
    EXPECT_EQ(failure_of(5, patient,
                         [&](Communicator& world, const DeviceStream&) {
                           try {
                             together(world, [&] {
                               if (world.rank() == 3) throw InputError("--mask: 'x'");
                             });
                           } catch (const InputError&) {
                             ++heard;
                             throw;
                           }
                         }),
              "--mask: 'x'");
    EXPECT_EQ(heard, 5);
    EXPECT_EQ(ModelNccl::aborted(), 0);
    EXPECT_EQ(ModelNccl::alive(), 0);
    EXPECT_EQ(ModelNccl::misuse(), "");
  }
}

// Its memory is not in use any more when somebody catches the exception.
TEST(NcclFailure, AnExchangeThatIsDroppedByAnExceptionIsAborted) {
  failure_of(2, patient, [&](Communicator& world, const DeviceStream& stream) {
    go_around(world, stream);
    if (world.rank() == 1) return world.barrier();
    try {
      const Buffer memory(stream, 100);
      const auto exchange = world.exchange_on(*stream, std::nullopt, Receive{1, memory.bytes()});
      throw InputError("the cause");
    } catch (const InputError&) {
      EXPECT_GE(ModelNccl::aborted(), 1);
    }
    EXPECT_THROW(world.barrier(), Error);
  });
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_EQ(ModelNccl::misuse(), "");
}

/// With an exchange under way and without one, told by NCCL and not.
TEST(NcclFailure, ARankThatThrowsEndsTheOthers) {
  for (const bool under_way : {true, false}) {
    for (const bool told : {true, false}) {
      std::atomic<int> woken = 0;
      const auto message = failure_of(
          3, told ? patient : NcclOptions{.timeout = 4},  // longer than it waits itself
          [&](Communicator& world, const DeviceStream& stream) {
            const Buffer sent(stream, 100);
            const Buffer received(stream, 100);
            if (world.rank() == 1) {
              go_around(world, stream);
              const auto exchange = under_way ? world.exchange_on(*stream, Send{2, sent.bytes()},
                                                                  Receive{0, received.bytes()})
                                              : nullptr;
              throw InputError("the cause");
            }
            EXPECT_THAT(message_of([&] {
                          for (int step = 0; step < 4; ++step) go_around(world, stream);
                        }),
                        AnyOf(HasSubstr("remote process exited"), HasSubstr("not done")));
            ++woken;
          },
          NcclConditions{.tells_of_aborts = told});
      EXPECT_EQ(message, "the cause");
      EXPECT_EQ(woken, 2);
      EXPECT_EQ(ModelNccl::aborted(), 3);
      EXPECT_EQ(ModelNccl::alive(), 0);
      EXPECT_EQ(ModelNccl::misuse(), "");
    }
  }
}

// NCCL says nothing of it; the model does, where a device would wait or write elsewhere.
TEST(NcclFailure, LengthsThatDifferOnDevicesAreUpToThePlan) {
  EXPECT_THAT(
      failure_of(2, patient,
                 [](Communicator& world, const DeviceStream& stream) {
                   const Buffer memory(stream, 100);
                   if (world.rank() == 0) {
                     world.exchange_on(*stream, Send{1, memory.bytes()}, std::nullopt)->wait();
                   } else {
                     world.exchange_on(*stream, std::nullopt, Receive{0, memory.bytes().first(99)})
                         ->wait();
                   }
                   wait_for_device(world, *stream);
                 }),
      AnyOf(HasSubstr("invalid usage"), HasSubstr("remote process exited")));
  EXPECT_EQ(ModelNccl::misuse(), "rank 0 sends 100 bytes, of which rank 1 expects 99");
  EXPECT_EQ(ModelNccl::alive(), 0);
}

// A rank that has learned of the other's length can go on.
TEST(NcclFailure, LengthsThatDifferOnHostsHarmNobody) {
  run_nccl(2, Order::late, [](Communicator& world, const DeviceStream&) {
    const Bytes sent(10);
    Bytes received(20);
    const auto message = message_of([&] {
      world.exchange(Send{next_of(world), sent}, Receive{next_of(world), received})->wait();
    });
    EXPECT_THAT(message, HasSubstr("expects 20 bytes from rank"));
    Index one = 1;
    world.all_reduce(std::span(&one, 1), Reduction::sum);
    EXPECT_EQ(one, 2);
  });
}

TEST(NcclFailure, RefusesWhatMakesNoSense) {
  const auto stream = test::model_stream(Order::early);
  const auto refusal = [&](int ranks, int rank, std::shared_ptr<device::Stream> on,
                           double timeout) {
    std::string message;
    try {
      static_cast<void>(nccl(NcclId{}, ranks, rank, std::move(on), {.timeout = timeout}));
    } catch (const InputError& error) {
      message = error.what();
    }
    return message;
  };
  EXPECT_THAT(refusal(2, 2, stream, 1), HasSubstr("rank 2 of 2"));
  EXPECT_THAT(refusal(2, -1, stream, 1), HasSubstr("rank -1 of 2"));
  EXPECT_THAT(refusal(0, 0, stream, 1), HasSubstr("rank 0 of 0"));
  EXPECT_THAT(refusal(1, 0, device::cpu_stream(), 1), HasSubstr("device cuda"));
  EXPECT_THAT(refusal(1, 0, nullptr, 1), HasSubstr("device cuda"));
  EXPECT_THAT(refusal(1, 0, stream, 0), HasSubstr("timeout of 0 s"));
}

}  // namespace
}  // namespace annulus::comm
