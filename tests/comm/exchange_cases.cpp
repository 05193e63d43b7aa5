// Exchanges, bit by bit.

#include <chrono>
#include <thread>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

using testing::HasSubstr;

TEST_P(Transport, PassesMessagesAroundTheRing) {
  on_ranks([](Communicator& world) {
    for (int step = 0; step < 24; ++step) {
      const int hop = 1 + step % world.size();  // the last one leads back to the rank itself
      const int to = next_of(world, hop);
      const int from = previous_of(world, hop);
      const Bytes sent = message(world.rank(), to, step);
      const Bytes expected = message(from, world.rank(), step);
      Bytes received(expected.size());
      const auto exchange = world.exchange(Send{to, sent}, Receive{from, received});
      if (step % 2 == 0) {
        exchange->wait();
      } else {
        while (!exchange->poll()) std::this_thread::yield();
      }
      EXPECT_TRUE(exchange->poll()) << "once done, done";
      EXPECT_EQ(received, expected) << "step " << step;
    }
  });
}

TEST_P(Transport, SendsOrReceivesAlone) {
  on_ranks([](Communicator& world) {
    // Down a chain, and then from rank 0 to each of the others.
    const int rank = world.rank();
    if (rank > 0) {
      const Bytes expected = message(rank - 1, rank, 1);
      Bytes received(expected.size());
      world.exchange(std::nullopt, Receive{rank - 1, received})->wait();
      EXPECT_EQ(received, expected);
    }
    if (rank + 1 < world.size()) {
      const Bytes sent = message(rank, rank + 1, 1);
      world.exchange(Send{rank + 1, sent}, std::nullopt)->wait();
    }
    for (int to = 1; to < world.size(); ++to) {
      const Bytes expected = message(0, to, 2);
      Bytes received(expected.size());
      if (rank == 0) world.exchange(Send{to, expected}, std::nullopt)->wait();
      if (rank != to) continue;
      world.exchange(std::nullopt, Receive{0, received})->wait();
      EXPECT_EQ(received, expected);
    }
  });
}

TEST_P(Transport, ReceivesFromOneRankAndSendsOtherLengthsToAnother) {
  on_ranks([](Communicator& world) {
    for (const std::size_t unit : {0u, 1u, 1009u}) {
      const Bytes sent = random_bytes(unit * static_cast<std::size_t>(world.rank()), 5);
      const Bytes expected = random_bytes(unit * static_cast<std::size_t>(previous_of(world)), 5);
      Bytes received(expected.size());
      world.exchange(Send{next_of(world), sent}, Receive{previous_of(world), received})->wait();
      EXPECT_EQ(received, expected);
    }
  });
}

TEST_P(Transport, ExchangesNothing) {
  on_ranks([](Communicator& world) {
    const auto exchange = world.exchange(std::nullopt, std::nullopt);
    EXPECT_TRUE(exchange->poll());
    exchange->wait();
  });
}

TEST_P(UnorderedTransport, PollsUntilThePeerIsThere) {
  on_ranks([](Communicator& world) {
    if (world.size() == 1) return;
    const Bytes expected = random_bytes(300007, 3);
    Bytes received(expected.size());
    if (world.rank() == 1) {
      const auto exchange = world.exchange(std::nullopt, Receive{0, received});
      EXPECT_FALSE(exchange->poll()) << "nobody has sent anything";
      world.barrier();  // collectives and an exchange under way do not meet
      while (!exchange->poll()) std::this_thread::sleep_for(std::chrono::microseconds(50));
    } else {
      world.barrier();
      if (world.rank() == 0) world.exchange(Send{1, expected}, std::nullopt)->wait();
    }
    EXPECT_EQ(received == expected, world.rank() == 1);
  });
}

TEST_P(Transport, WaitsInTheDestructor) {
  on_ranks([](Communicator& world) {
    for (int step = 0; step < 5; ++step) {
      const Bytes expected = message(previous_of(world), world.rank(), step);
      Bytes received(expected.size());
      {
        const Bytes sent = message(world.rank(), next_of(world), step);
        if (world.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const auto exchange =
            world.exchange(Send{next_of(world), sent}, Receive{previous_of(world), received});
      }
      EXPECT_EQ(received, expected);
    }
  });
}

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST_P(Transport, NamesThePeerThatDoesNotExist) {
  on_ranks([](Communicator& world) {
    Bytes data(3);
    const int size = world.size();
    const std::string peer = "names rank " + std::to_string(size);
    const std::string here = "rank " + std::to_string(world.rank());
    EXPECT_THAT(message_of([&] {
                  world.exchange(Send{size, data}, std::nullopt)->wait();
                }),
                AllOf(HasSubstr(peer), HasSubstr(here), HasSubstr("send")));
    EXPECT_THAT(message_of([&] {
                  world.exchange(std::nullopt, Receive{-1, data})->wait();
                }),
                AllOf(HasSubstr("names rank -1"), HasSubstr("receive")));
    EXPECT_THAT(message_of([&] { world.broadcast(data, size); }), HasSubstr(peer));
    EXPECT_THAT(message_of([&] { static_cast<void>(world.first(size + 1)); }),
                HasSubstr("expected 1 to " + std::to_string(size)));
    EXPECT_THAT(message_of([&] { static_cast<void>(world.first(0)); }), HasSubstr("first 0"));
    world.barrier();
  });
}

TEST_P(Transport, RefusesHalfAnExchangeWithItself) {
  on_ranks([](Communicator& world) {
    Bytes data(3);
    Bytes more(4);
    const int rank = world.rank();
    EXPECT_THAT(message_of([&] {
                  world.exchange(Send{rank, data}, std::nullopt)->wait();
                }),
                HasSubstr("itself"));
    EXPECT_THAT(message_of([&] {
                  world.exchange(std::nullopt, Receive{rank, data})->wait();
                }),
                HasSubstr("itself"));
    EXPECT_THAT(message_of([&] {
                  world.exchange(Send{rank, data}, Receive{rank, more})->wait();
                }),
                HasSubstr("expects 4 bytes"));
    world.barrier();
  });
}

// (bytes sent, bytes expected): fewer pieces of 1000 bytes than expected, more, and as many.
using Lengths = std::pair<std::size_t, std::size_t>;

TEST_P(Transport, TellsAMessageOfAnotherLength) {
  for (const auto& [bytes, expected] : {Lengths{1, 0},
                                        {0, 1},
                                        {10, 20},
                                        {20, 10},
                                        {1000, 2000},
                                        {2000, 1000},
                                        {1500, 2500},
                                        {2500, 1500},
                                        {2500, 2400}}) {
    on_ranks([bytes = bytes, expected = expected](Communicator& world) {
      if (world.size() == 1 || world.rank() > 1) return;
      const Bytes sent(bytes);
      Bytes received(expected);
      if (world.rank() == 0) {
        // Whether the sender hears of it depends on the transport.
        message_of([&] { world.exchange(Send{1, sent}, std::nullopt)->wait(); });
      } else {
        EXPECT_THAT(message_of([&] {
                      world.exchange(std::nullopt, Receive{0, received})->wait();
                    }),
                    AnyOf(HasSubstr("rank 1 expects"),
                          AllOf(HasSubstr("on rank 1"), HasSubstr("MPI_ERR_TRUNCATE"))))
            << bytes << " for " << expected;
      }
    });
  }
}

}  // namespace
}  // namespace annulus::comm
