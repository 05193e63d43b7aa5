// What happens to the other threads when one of them fails.

#include "annulus/comm/threads.hpp"

#include <atomic>
#include <thread>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/comm/error.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

using testing::HasSubstr;

/// What a rank waits in while another one fails.
struct Wait {
  std::string name;
  std::function<void(Communicator&, int failing)> call;

  friend std::ostream& operator<<(std::ostream& out, const Wait& wait) { return out << wait.name; }
};

void wait_for_message(Communicator& world, int failing) {
  Bytes data(1009);
  world.exchange(std::nullopt, Receive{failing, data})->wait();
}

void poll_for_message(Communicator& world, int failing) {
  Bytes data(1009);
  const auto exchange = world.exchange(std::nullopt, Receive{failing, data});
  while (!exchange->poll()) std::this_thread::yield();
}

const std::vector<Wait>& waits() {
  static const std::vector<Wait> all{
      {"receive", wait_for_message},
      {"poll", poll_for_message},
      {"send",
       [](Communicator& world, int failing) {
         const Bytes data(1009);
         world.exchange(Send{failing, data}, std::nullopt)->wait();
       }},
      {"destructor",
       [](Communicator& world, int failing) {
         Bytes data(1009);
         { const auto exchange = world.exchange(std::nullopt, Receive{failing, data}); }
         world.barrier();
       }},
      {"several",
       [](Communicator& world, int failing) {
         const Bytes sent(1009);
         std::vector<Bytes> received(3, Bytes(1009));
         std::vector<std::unique_ptr<Exchange>> exchanges;
         for (auto& place : received) {
           exchanges.push_back(world.exchange(Send{failing, sent}, Receive{failing, place}));
         }
         exchanges.back()->wait();
       }},
      {"barrier", [](Communicator& world, int) { world.barrier(); }},
      {"broadcast",
       [](Communicator& world, int failing) {
         Bytes data(1009);
         world.broadcast(data, failing);
       }},
      {"all_reduce",
       [](Communicator& world, int) {
         double value = 1.0;
         world.all_reduce(std::span(&value, 1), Reduction::sum);
       }},
      {"all_gather", [](Communicator& world, int) { static_cast<void>(world.all_gather({})); }},
      {"shared_memory", [](Communicator& world, int) { (void)world.shared_memory(8); }},
      {"first", [](Communicator& world, int) { world.first(world.size())->barrier(); }}};
  return all;
}

class FailingThread : public testing::TestWithParam<std::tuple<int, Wait>> {};

TEST_P(FailingThread, WakesTheOthersAndIsHeard) {
  const auto& [ranks, wait] = GetParam();
  for (int failing = 0; failing < ranks; ++failing) {
    std::atomic<int> woken = 0;
    const auto body = [&, &call = wait.call](Communicator& world) {
      if (world.rank() == failing) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        throw InputError("the cause");
      }
      try {
        call(world, failing);
      } catch (const CommunicationError& error) {
        EXPECT_EQ(std::string(error.what()), "rank " + std::to_string(failing) + " gave up");
        ++woken;
        throw;
      }
    };
    try {
      run_threads(ranks, body);
      ADD_FAILURE() << "no exception";
    } catch (const InputError& error) {
      EXPECT_STREQ(error.what(), "the cause");
    }
    EXPECT_EQ(woken, ranks - 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, FailingThread,
                         testing::Combine(testing::Values(1, 2, 3, 4, 5, 8),
                                          testing::ValuesIn(waits())),
                         [](const auto& test) {
                           return std::get<1>(test.param).name + "_" +
                                  std::to_string(std::get<0>(test.param));
                         });

std::string error_of(int ranks, const World::Body& body) {
  try {
    run_threads(ranks, body);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no exception";
}

// A wait in memory, where no message says that the other one is gone.
TEST(Threads, AWaitForATickEndsWithTheRankThatFails) {
  EXPECT_EQ(error_of(3,
                     [](Communicator& world) {
                       auto& memory = world.shared_memory(8);
                       if (world.rank() == 1) throw Error("before its tick");
                       memory.wait_for(1, 1, {});
                     }),
            "before its tick");
}

TEST(Threads, RanksOfOtherNodesAreNotPeers) {
  run_threads(even_topology(4, 2), [](Communicator& world) {
    auto& memory = world.shared_memory(8);
    EXPECT_EQ(memory.of(world.rank() ^ 1).size(), 8U);
    EXPECT_THROW((void)memory.of((world.rank() + 2) % 4), Error);
    EXPECT_EQ(ranks_of_nodes(world.topology()).size(), 2U);
    const auto part = world.first(3);
    if (part) {
      EXPECT_EQ(part->topology().node_of, (std::vector<int>{0, 0, 1}));
    }
    world.barrier();
  });
  EXPECT_THROW(run_threads(Topology{.ranks = 2}, [](Communicator&) {}), InputError);
}

// The exchange of the rank that fails is under way, and no peer will ever complete it.
TEST(Threads, DoesNotWaitForPeersWhileThrowing) {
  for (const int ranks : {2, 3, 5}) {
    EXPECT_EQ(error_of(ranks,
                       [](Communicator& world) {
                         const Bytes sent(1009);
                         Bytes received(1009);
                         if (world.rank() != 1) world.barrier();
                         const auto exchange = world.exchange(
                             Send{next_of(world), sent}, Receive{previous_of(world), received});
                         throw Error("in the middle");
                       }),
              "in the middle");
  }
}

// Several are under way, to and from all others, and the last ones no peer completes.
TEST(Threads, ThrowsWithSeveralExchangesUnderWay) {
  for (const int ranks : {2, 3, 4, 5, 8}) {
    for (int failing = 0; failing < ranks; ++failing) {
      std::atomic<int> woken = 0;
      const auto body = [&](Communicator& world) {
        const bool fails = world.rank() == failing;
        const Bytes sent(1009);
        std::vector<Bytes> received((fails ? 4U : 3U) * static_cast<std::size_t>(ranks), sent);
        try {
          std::vector<std::unique_ptr<Exchange>> exchanges;
          for (std::size_t i = 0; i < received.size(); ++i) {
            const int hop = 1 + static_cast<int>(i) % ranks;
            exchanges.push_back(world.exchange(Send{next_of(world, hop), sent},
                                               Receive{previous_of(world, hop), received[i]}));
          }
          if (fails) throw InputError("the cause");
          while (!exchanges.empty()) exchanges.pop_back();
          world.barrier();
        } catch (const Error& error) {
          if (fails) throw;
          EXPECT_EQ(std::string(error.what()), "rank " + std::to_string(failing) + " gave up");
          ++woken;
        }
      };
      EXPECT_EQ(error_of(ranks, body), "the cause");
      EXPECT_EQ(woken, ranks - 1);
    }
  }
}

TEST(Threads, TellsOfLengthsThatDifferBothWays) {
  EXPECT_THAT(
      error_of(
          2,
          [](Communicator& world) {
            const Bytes sent(10);
            Bytes received(20);
            world.exchange(Send{next_of(world), sent}, Receive{next_of(world), received})->wait();
          }),
      HasSubstr("expects 20 bytes"));
}

TEST(Threads, TellsOfCollectiveLengthsThatDiffer) {
  EXPECT_THAT(error_of(3,
                       [](Communicator& world) {
                         Bytes data(world.rank() == 2 ? 4 : 3);
                         world.broadcast(data, 0);
                       }),
              HasSubstr("rank 2 expects 4 bytes from rank 0, which sends 3"));
  EXPECT_THAT(error_of(3,
                       [](Communicator& world) {
                         std::vector<double> data(world.rank() == 1 ? 4 : 3);
                         world.all_reduce(data, Reduction::sum);
                       }),
              HasSubstr("bytes from rank"));
}

TEST(Threads, TellsOfARankThatIsWaitedForInVain) {
  for (const auto& wait : waits()) {
    EXPECT_THAT(error_of(4,
                         [&](Communicator& world) {
                           if (world.rank() != 2) wait.call(world, 2);
                         }),
                HasSubstr("waits for rank 2, which has already returned"))
        << wait.name;
  }
}

TEST(Threads, PassesOnWhatIsNoStandardException) {
  EXPECT_THROW(run_threads(3,
                           [](Communicator& world) {
                             if (world.rank() == 1) throw 42;
                             world.barrier();
                           }),
               int);
}

TEST(Threads, NeedsARank) {
  EXPECT_THROW(run_threads(0, [](Communicator&) {}), InputError);
  EXPECT_THROW(run_threads(-1, [](Communicator&) {}), InputError);
}

// A rank that fails must not take away what the others still read.
TEST(Threads, FailsAtAnyMomentWithoutHarm) {
  for (int repetition = 0; repetition < 100; ++repetition) {
    std::atomic<int> steps = 0;
    EXPECT_EQ(error_of(4,
                       [&](Communicator& world) {
                         for (;;) {
                           const Bytes sent = random_bytes(40009, 1);
                           Bytes received(sent.size());
                           const auto exchange = world.exchange(
                               Send{next_of(world), sent}, Receive{previous_of(world), received});
                           if (++steps > repetition) throw InputError("enough");
                           exchange->wait();
                           static_cast<void>(world.all_gather(sent));
                         }
                       }),
              "enough");
  }
}

}  // namespace
}  // namespace annulus::comm
