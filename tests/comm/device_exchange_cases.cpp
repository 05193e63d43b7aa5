// Exchanges between memory of devices, bit by bit, whenever the devices work.

#include <algorithm>
#include <array>
#include <chrono>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "comm/device_transport.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;
using testing::AnyOf;
using testing::HasSubstr;

/// What a rank holds at first: nothing, one byte, primes, many pieces.
Bytes bytes_of(int rank) {
  constexpr std::size_t lengths[] = {70001, 0, 1, 300007, 13, 1009, 300007, 7};
  return random_bytes(lengths[static_cast<std::size_t>(rank) % std::size(lengths)],
                      static_cast<std::uint64_t>(rank) + 1);
}

/// Everybody's bytes on their way around a ring, in two places that take turns, as keys and values
/// go. Work of the stream reads those that are here while they are sent on and others arrive, and
/// spoils their place when they are gone.
class Circulation {
 public:
  Circulation(Communicator& world, DeviceStream stream, int hop)
      : world_(world), stream_(std::move(stream)), hop_(hop) {
    std::size_t longest = 0;
    for (int rank = 0; rank < world.size(); ++rank) {
      longest = std::max(longest, bytes_of(rank).size());
    }
    for (auto& place : places_) place = room(world, stream_, longest);
    const Bytes own = bytes_of(world.rank());
    stream_->upload(device::RowCopy::of_bytes(here().data(), own.data(), own.size()));
  }

  void start_step() {
    look();
    exchange_ = world_.exchange_on(*stream_, Send{next_of(world_, hop_), here()},
                                   Receive{previous_of(world_, hop_), next()});
    look();
  }

  void end_step() {
    end(*exchange_, step_);
    EXPECT_TRUE(exchange_->poll()) << "once done, done";
    exchange_.reset();
    stream_->clear(here().data(), here().size());
    ++step_;
  }

  /// Every look has seen the bytes of its step.
  void check() {
    stream_->synchronize();
    for (const auto& [step, seen] : seen_) {
      EXPECT_TRUE(on_host(stream_, seen.bytes()) == bytes_of(owner(step)))
          << "rank " << world_.rank() << ", step " << step;
    }
  }

 private:
  void look() { seen_.emplace_back(step_, copied_later(stream_, here())); }
  [[nodiscard]] int owner(int step) const {
    const int ranks = world_.size();
    return (world_.rank() + step * (ranks - hop_)) % ranks;
  }
  [[nodiscard]] std::span<std::byte> place_at(int step) const {
    const auto& place = places_[static_cast<std::size_t>(step % 2)];
    return place.bytes().first(bytes_of(owner(step)).size());
  }
  [[nodiscard]] std::span<std::byte> here() const { return place_at(step_); }
  [[nodiscard]] std::span<std::byte> next() const { return place_at(step_ + 1); }

  Communicator& world_;
  DeviceStream stream_;
  int hop_;
  std::array<Buffer, 2> places_;
  std::vector<std::pair<int, Buffer>> seen_;
  std::unique_ptr<Exchange> exchange_;
  int step_ = 0;
};

TEST_P(DeviceTransport, PassesBytesAroundTheRingWhileWorkReadsThem) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    Circulation ring(world, stream, 1);
    for (int step = 0; step < 2 * world.size() + 3; ++step) {
      ring.start_step();
      ring.end_step();
    }
    ring.check();
  });
}

// As keys and their gradients go in a backward pass.
TEST_P(DeviceTransport, PassesBytesAroundTwoRingsAtATime) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    Circulation one(world, stream, 1);
    Circulation two(world, stream, world.size() - 1);
    for (int step = 0; step < world.size() + 3; ++step) {
      one.start_step();
      two.start_step();
      one.end_step();
      two.end_step();
    }
    one.check();
    two.check();
  });
}

TEST_P(DeviceTransport, PassesMessagesOverAllHops) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    for (int step = 0; step < 12; ++step) {
      const int hop = 1 + step % world.size();  // the last one leads back to the rank itself
      const int to = next_of(world, hop);
      const int from = previous_of(world, hop);
      const Bytes expected = message(from, world.rank(), step);
      const Buffer sent = on_device(world, stream, message(world.rank(), to, step));
      const Buffer received = room(world, stream, expected.size());
      end(*world.exchange_on(*stream, Send{to, sent.bytes()}, Receive{from, received.bytes()}),
          step);
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected) << "step " << step;
    }
  });
}

TEST_P(DeviceTransport, SendsOrReceivesAlone) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const int rank = world.rank();
    for (int step = 0; step < 6; ++step) {
      const Buffer memory = room(world, stream, message(0, 0, step).size());
      if (rank == 0) {
        const Bytes first = message(0, 0, step);
        stream->upload(device::RowCopy::of_bytes(memory.data(), first.data(), first.size()));
      } else {
        end(*world.exchange_on(*stream, std::nullopt, Receive{rank - 1, memory.bytes()}), step);
      }
      if (rank + 1 < world.size()) {
        end(*world.exchange_on(*stream, Send{rank + 1, memory.bytes()}, std::nullopt), step);
      }
      EXPECT_TRUE(on_host(stream, memory.bytes()) == message(0, 0, step)) << "step " << step;
    }
  });
}

// One place for all that rank 0 sends; nobody looks at what has arrived before it has changed.
TEST_P(DeviceTransport, WhatWasSentMayChangeOnceItIsDone) {
  constexpr std::size_t bytes = 10007;
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const Buffer memory = room(world, stream, bytes);
    for (int to = 1; to < world.size(); ++to) {
      const Bytes sent = random_bytes(bytes, static_cast<std::uint64_t>(to));
      if (world.rank() == 0) {
        stream->upload(device::RowCopy::of_bytes(memory.data(), sent.data(), bytes));
        end(*world.exchange_on(*stream, Send{to, memory.bytes()}, std::nullopt), to);
      } else if (world.rank() == to) {
        end(*world.exchange_on(*stream, std::nullopt, Receive{0, memory.bytes()}), to);
      }
    }
    if (world.rank() == 0) {
      stream->clear(memory.data(), bytes);
      stream->synchronize();
    }
    world.barrier();
    const Bytes expected = world.rank() == 0
                               ? Bytes(bytes)
                               : random_bytes(bytes, static_cast<std::uint64_t>(world.rank()));
    EXPECT_TRUE(on_host(stream, memory.bytes()) == expected);
  });
}

// What a receiver still reads is not overwritten, even if others make its transfers run.
TEST_P(DeviceTransport, WhatArrivesWaitsForTheWorkBefore) {
  constexpr std::size_t bytes = 1009;
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const Bytes before = random_bytes(bytes, 1);
    const Bytes after = random_bytes(bytes, 2);
    const Buffer sent = on_device(world, stream, after);
    const Buffer memory = on_device(world, stream, before);
    const Buffer seen = copied_later(stream, memory.bytes());
    world
        .exchange_on(*stream, Send{next_of(world), sent.bytes()},
                     Receive{previous_of(world), memory.bytes()})
        ->wait();
    stream->transfers().synchronize();
    world.barrier();
    EXPECT_TRUE(on_host(stream, memory.bytes()) == after);
    EXPECT_TRUE(on_host(stream, seen.bytes()) == before);
  });
}

TEST_P(UnorderedDeviceTransport, PollsUntilThePeerIsThere) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    if (world.size() == 1) return;
    const Bytes expected = random_bytes(300007, 3);
    if (world.rank() == 1) {
      const Buffer received = room(world, stream, expected.size());
      const auto exchange = world.exchange_on(*stream, std::nullopt, Receive{0, received.bytes()});
      for (int i = 0; i < 20; ++i) EXPECT_FALSE(exchange->poll()) << "nobody has sent anything";
      world.barrier();
      end(*exchange, 1);
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected);
    } else {
      world.barrier();
      const Buffer sent = on_device(world, stream, expected);
      if (world.rank() == 0) {
        world.exchange_on(*stream, Send{1, sent.bytes()}, std::nullopt)->wait();
      }
    }
  });
}

TEST_P(DeviceTransport, WaitsInTheDestructor) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    for (int step = 0; step < 5; ++step) {
      const Bytes expected = message(previous_of(world), world.rank(), step);
      const Buffer received = room(world, stream, expected.size());
      {
        const Buffer sent = on_device(world, stream, message(world.rank(), next_of(world), step));
        if (world.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const auto exchange = world.exchange_on(*stream, Send{next_of(world), sent.bytes()},
                                                Receive{previous_of(world), received.bytes()});
      }
      EXPECT_TRUE(on_host(stream, received.bytes()) == expected) << "step " << step;
    }
  });
}

TEST_P(DeviceTransport, ExchangesNothing) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const auto exchange = world.exchange_on(*stream, std::nullopt, std::nullopt);
    exchange->wait();
    EXPECT_TRUE(exchange->poll());
  });
}

// A pass is written once for all devices; that of the CPU is memory of the host.
TEST_P(DeviceTransport, TakesMemoryOfTheHostAsThatOfTheCpu) {
  on_ranks([](Communicator& world, const DeviceStream&) {
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

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST_P(DeviceTransport, RefusesPeersThatAreNotThereAtOnce) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const Buffer data = room(world, stream, 3);
    const int rank = world.rank();
    EXPECT_THAT(message_of([&] {
                  static_cast<void>(
                      world.exchange_on(*stream, Send{world.size(), data.bytes()}, std::nullopt));
                }),
                HasSubstr("names rank " + std::to_string(world.size())));
    EXPECT_THAT(message_of([&] {
                  static_cast<void>(world.exchange_on(*stream, Send{rank, data.bytes()},
                                                      Receive{rank, data.bytes().first(2)}));
                }),
                HasSubstr("expects 2 bytes"));
    world.barrier();
  });
}

TEST_P(UnorderedDeviceTransport, TellsAMessageOfAnotherLength) {
  for (const auto& [bytes, expected] :
       {std::pair<std::size_t, std::size_t>{1, 0}, {0, 1}, {1009, 2003}, {2003, 1009}}) {
    on_ranks([bytes = bytes, expected = expected](Communicator& world, const DeviceStream& stream) {
      if (world.size() == 1 || world.rank() > 1) return;
      const Buffer sent = on_device(world, stream, Bytes(bytes));
      const Buffer received = room(world, stream, expected);
      if (world.rank() == 0) {
        // Whether the sender hears of it depends on the transport.
        message_of([&] {
          world.exchange_on(*stream, Send{1, sent.bytes()}, std::nullopt)->wait();
        });
      } else {
        EXPECT_THAT(
            message_of([&] {
              world.exchange_on(*stream, std::nullopt, Receive{0, received.bytes()})->wait();
            }),
            AnyOf(HasSubstr("rank 1 expects"), HasSubstr("MPI_ERR_TRUNCATE")))
            << bytes << " for " << expected;
      }
    });
  }
}

}  // namespace
}  // namespace annulus::comm
