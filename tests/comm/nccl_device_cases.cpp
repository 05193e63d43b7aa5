// Exchanges between memory of devices over NCCL: what a stream sees, and what the host waits for.

#include <algorithm>
#include <array>
#include <latch>
#include <thread>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/nccl_world.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;
using device::RowCopy;
using testing::HasSubstr;
using StreamPointer = std::shared_ptr<test::ModelStream>;

class NcclDevice : public testing::TestWithParam<std::tuple<int, test::Order>> {
 protected:
  static void on_ranks(const NcclBody& body) {
    const auto& [ranks, order] = GetParam();
    run_nccl(ranks, order, body);
  }
};

INSTANTIATE_TEST_SUITE_P(Nccl, NcclDevice,
                         testing::Combine(testing::Values(1, 2, 3, 5, 8),
                                          testing::Values(test::Order::early, test::Order::late)),
                         [](const auto& test) {
                           return std::to_string(std::get<0>(test.param)) +
                                  (std::get<1>(test.param) == test::Order::early ? "_early"
                                                                                 : "_late");
                         });

Buffer on_device(const StreamPointer& stream, const Bytes& bytes) {
  Buffer memory(stream, bytes.size());
  stream->upload(RowCopy::of_bytes(memory.data(), bytes.data(), bytes.size()));
  return memory;
}

Bytes on_host(const StreamPointer& stream, std::span<const std::byte> memory) {
  Bytes bytes(memory.size());
  stream->download(RowCopy::of_bytes(bytes.data(), memory.data(), bytes.size()));
  return bytes;
}

void end(Exchange& exchange, int step) {
  while (step % 2 == 1 && !exchange.poll()) std::this_thread::yield();
  exchange.wait();
  EXPECT_TRUE(exchange.poll()) << "once done, done";
}

/// What a rank has at first; as long for all, as the places take turns.
Bytes bytes_of(int rank) {
  return random_bytes(10007, static_cast<std::uint64_t>(rank) + 1);
}

/// Everybody's bytes on their way around a ring in two places that take turns, as keys and values
/// go. Work of the stream reads those that are here while they are sent on and others arrive, and
/// spoils the place when they are gone.
class Circulation {
 public:
  Circulation(Communicator& world, StreamPointer stream, int hop)
      : world_(world), stream_(std::move(stream)), hop_(hop) {
    places_[0] = on_device(stream_, bytes_of(world.rank()));
    places_[1] = Buffer(stream_, places_[0].size());
  }

  void start_step() {
    const auto seen = seen_.emplace_back(std::make_shared<Bytes>());
    stream_->enqueue([seen, here = here()] { seen->assign(here.begin(), here.end()); });
    exchange_ = world_.exchange_on(*stream_, Send{next_of(world_, hop_), here()},
                                   Receive{previous_of(world_, hop_), next()});
    const auto again = seen_again_.emplace_back(std::make_shared<Bytes>());
    stream_->enqueue([again, here = here()] { again->assign(here.begin(), here.end()); });
  }

  void end_step() {
    end(*exchange_, step_ / world_.size());
    exchange_.reset();
    stream_->enqueue([here = here()] { std::ranges::fill(here, std::byte{0x55}); });
    ++step_;
  }

  void check() {
    stream_->synchronize();
    const int ranks = world_.size();
    for (int step = 0; step < step_; ++step) {
      const auto expected = bytes_of((world_.rank() + step * (ranks - hop_)) % ranks);
      const auto index = static_cast<std::size_t>(step);
      EXPECT_TRUE(*seen_[index] == expected) << "rank " << world_.rank() << ", step " << step;
      EXPECT_TRUE(*seen_again_[index] == expected) << "rank " << world_.rank() << ", " << step;
    }
  }

 private:
  [[nodiscard]] std::span<std::byte> place_at(int step) const {
    return places_[static_cast<std::size_t>(step % 2)].bytes();
  }
  [[nodiscard]] std::span<std::byte> here() const { return place_at(step_); }
  [[nodiscard]] std::span<std::byte> next() const { return place_at(step_ + 1); }

  Communicator& world_;
  StreamPointer stream_;
  int hop_;
  std::array<Buffer, 2> places_;
  std::vector<std::shared_ptr<Bytes>> seen_;
  std::vector<std::shared_ptr<Bytes>> seen_again_;
  std::unique_ptr<Exchange> exchange_;
  int step_ = 0;
};

TEST_P(NcclDevice, PassesBytesAroundTheRingWhileWorkReadsThem) {
  on_ranks([](Communicator& world, const StreamPointer& stream) {
    Circulation ring(world, stream, 1);
    for (int step = 0; step < 4 * world.size() + 3; ++step) {
      ring.start_step();
      ring.end_step();
    }
    ring.check();
  });
}

// As keys and their gradients go in a backward pass, over one NCCL communicator.
TEST_P(NcclDevice, PassesBytesAroundTwoRingsAtATime) {
  on_ranks([](Communicator& world, const StreamPointer& stream) {
    const auto other = world.first(world.size());
    EXPECT_EQ(test::ModelNccl::made(), world.size()) << "one is used by both";
    Circulation one(world, stream, 1);
    Circulation two(*other, stream, world.size() - 1);
    for (int step = 0; step < 2 * world.size() + 3; ++step) {
      one.start_step();
      two.start_step();
      one.end_step();
      two.end_step();
    }
    one.check();
    two.check();
  });
}

TEST_P(NcclDevice, PassesMessagesOverAllHops) {
  on_ranks([](Communicator& world, const StreamPointer& stream) {
    for (int step = 0; step < 24; ++step) {
      const int hop = 1 + step % world.size();  // the last one leads back to the rank itself
      const int to = next_of(world, hop);
      const int from = previous_of(world, hop);
      const Bytes expected = message(from, world.rank(), step);
      const Buffer sent = on_device(stream, message(world.rank(), to, step));
      const Buffer received(stream, expected.size());
      end(*world.exchange_on(*stream, Send{to, sent.bytes()}, Receive{from, received.bytes()}),
          step);
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected) << "step " << step;
    }
  });
}

TEST_P(NcclDevice, SendsOrReceivesAlone) {
  on_ranks([](Communicator& world, const StreamPointer& stream) {
    const Bytes bytes = random_bytes(4099, 1);
    const int rank = world.rank();
    for (int step = 0; step < 4; ++step) {
      const Buffer memory = rank == 0 ? on_device(stream, bytes) : Buffer(stream, bytes.size());
      if (rank > 0) {
        end(*world.exchange_on(*stream, std::nullopt, Receive{rank - 1, memory.bytes()}), step);
      }
      if (rank + 1 < world.size()) {
        end(*world.exchange_on(*stream, Send{rank + 1, memory.bytes()}, std::nullopt), step);
      }
      EXPECT_TRUE(on_host(stream, memory.bytes()) == bytes);
    }
    world.exchange_on(*stream, std::nullopt, std::nullopt)->wait();
  });
}

TEST_P(NcclDevice, WaitsInTheDestructor) {
  on_ranks([](Communicator& world, const StreamPointer& stream) {
    for (int step = 0; step < 5; ++step) {
      const Bytes expected = message(previous_of(world), world.rank(), step);
      const Buffer received(stream, expected.size());
      {
        const Buffer sent = on_device(stream, message(world.rank(), next_of(world), step));
        const auto exchange = world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                                Receive{previous_of(world), received.bytes()});
      }
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected) << "step " << step;
    }
  });
}

TEST_P(NcclDevice, TakesMemoryOfTheHostAsThatOfTheCpu) {
  on_ranks([](Communicator& world, const StreamPointer&) {
    const Bytes sent = message(world.rank(), next_of(world), 1);
    const Bytes expected = message(previous_of(world), world.rank(), 1);
    Bytes received(expected.size());
    world
        .exchange_on(*device::cpu_stream(), Send{next_of(world), sent},
                     Receive{previous_of(world), received})
        ->wait();
    EXPECT_EQ(received, expected);
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
  on_ranks([&](Communicator& world, const StreamPointer& stream) {
    for (const auto& call : calls) {
      const Buffer sent = on_device(stream, bytes_of(world.rank()));
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
  on_ranks([](Communicator& world, const StreamPointer& stream) {
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
    run_nccl(2, order, [&](Communicator& world, const StreamPointer& stream) {
      const Buffer memory = on_device(stream, bytes_of(0));
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
           [&](Communicator& world, const StreamPointer& stream) {
             const Buffer sent = on_device(stream, bytes_of(world.rank()));
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
             stream->enqueue_until([passed] { return passed(1.5); });
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
