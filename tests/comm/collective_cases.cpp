// Collectives against closed forms.

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include "comm/sum_by_parts.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

TEST_P(Transport, KnowsItsRanks) {
  on_ranks([](Communicator& world) {
    EXPECT_GE(world.rank(), 0);
    EXPECT_LT(world.rank(), world.size());
    // One machine: one node.
    EXPECT_EQ(ranks_of_nodes(world.topology()).size(), 1U);
    EXPECT_EQ(world.library().empty(), world.name() == "self" || world.name() == "threads");
    EXPECT_EQ(world.library().find('\n'), std::string::npos);
  });
}

TEST_P(Transport, BroadcastsFromEachRoot) {
  on_ranks([](Communicator& world) {
    for (int root = 0; root < world.size(); ++root) {
      for (const std::size_t length : {0u, 1u, 7u, 1000u, 100003u}) {
        const Bytes expected = random_bytes(length, static_cast<std::uint64_t>(root) + 1);
        Bytes data = world.rank() == root ? expected : Bytes(length);
        world.broadcast(data, root);
        EXPECT_EQ(data, expected);
      }
    }
  });
}

TEST_P(Transport, ReducesIntegers) {
  on_ranks([](Communicator& world) {
    const Index ranks = world.size();
    const Index big = Index{1} << 40;
    for (const Index length : {0, 1, 1009}) {
      std::vector<Index> mine(static_cast<std::size_t>(length));
      std::iota(mine.begin(), mine.end(), big * (world.rank() + 1));
      const auto expect = [&](Reduction reduction, Index first, Index step) {
        auto data = mine;
        world.all_reduce(data, reduction);
        auto expected = mine;
        for (Index i = 0; i < length; ++i) expected[static_cast<std::size_t>(i)] = first + step * i;
        EXPECT_EQ(data, expected);
      };
      expect(Reduction::sum, big * ranks * (ranks + 1) / 2, ranks);
      expect(Reduction::maximum, big * ranks, 1);
      expect(Reduction::minimum, big, 1);
    }
  });
}

TEST_P(Transport, ReducesMoreThanABlock) {
  on_ranks([](Communicator& world) {
    std::vector<double> data(70001);
    std::iota(data.begin(), data.end(), world.rank());
    std::vector<double> expected(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
      expected[i] = static_cast<double>(i) * world.size() + world.size() * (world.size() - 1) / 2;
    }
    const auto mine = data;
    world.all_reduce(data, Reduction::sum);
    EXPECT_TRUE(data == expected);
    data = mine;
    world.all_reduce(data, Reduction::maximum);
    std::iota(expected.begin(), expected.end(), world.size() - 1);
    EXPECT_TRUE(data == expected);
    std::vector<Index> numbers(data.size());
    std::iota(numbers.begin(), numbers.end(), world.rank());
    world.all_reduce(numbers, Reduction::minimum);
    std::vector<Index> minima(data.size());
    std::iota(minima.begin(), minima.end(), 0);
    EXPECT_TRUE(numbers == minima);
  });
}

// In the order of the ranks: 1e16 swallows a 1, or does not, as the order has it.
double value_of(int rank) {
  constexpr double values[] = {1.0, 1e16, 1.0, -1e16, 1.0 / 3.0, 1e-9};
  return values[static_cast<std::size_t>(rank) % std::size(values)];
}

TEST_P(Transport, SumsInTheOrderOfTheRanks) {
  on_ranks([](Communicator& world) {
    double expected = value_of(0);
    for (int rank = 1; rank < world.size(); ++rank) expected += value_of(rank);
    const auto has_its_bits = [&](double sum) {
      return std::bit_cast<std::uint64_t>(sum) == std::bit_cast<std::uint64_t>(expected);
    };
    // Many are summed in parts, of which those of the first ranks are longer by one.
    const std::size_t many = 5000 * static_cast<std::size_t>(world.size());
    for (const std::size_t length : {std::size_t{17}, many, many + 1, many - 1}) {
      std::vector<double> sums(length, value_of(world.rank()));
      world.all_reduce(sums, Reduction::sum);
      EXPECT_TRUE(std::ranges::all_of(sums, has_its_bits)) << length;
    }
  });
}

TEST_P(Transport, SumsOfFloatsAreMadeInFp64AndRoundedOnce) {
  on_ranks([](Communicator& world) {
    const auto number = [](int rank, std::size_t i) {
      return static_cast<float>(value_of(rank)) * static_cast<float>(1 + i % 7);
    };
    const std::size_t many = 5000 * static_cast<std::size_t>(world.size());
    for (const std::size_t length : {std::size_t{17}, many, many + 1, many - 1}) {
      std::vector<float> sums(length);
      std::vector<float> expected(length);
      for (std::size_t i = 0; i < length; ++i) {
        sums[i] = number(world.rank(), i);
        double sum = number(0, i);
        for (int rank = 1; rank < world.size(); ++rank) sum += number(rank, i);
        expected[i] = static_cast<float>(sum);
      }
      sum(world, sums);
      EXPECT_TRUE(sums == expected) << length;
    }
  });
}

TEST_P(Transport, ReducesExtremes) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  on_ranks([](Communicator& world) {
    const bool last = world.rank() == world.size() - 1;
    std::vector<double> data{-infinity, last ? std::nan("") : 1.0, 0.5 - world.rank()};
    auto minima = data;
    world.all_reduce(data, Reduction::maximum);
    EXPECT_EQ(data[0], -infinity);
    EXPECT_TRUE(std::isnan(data[1])) << "a NaN is not lost";
    EXPECT_EQ(data[2], 0.5);
    world.all_reduce(minima, Reduction::minimum);
    EXPECT_EQ(minima[0], -infinity);
    EXPECT_TRUE(std::isnan(minima[1]));
    EXPECT_EQ(minima[2], 1.5 - world.size());
    // Whichever rank it comes from.
    double first = world.rank() == 0 ? std::nan("") : 1.0;
    world.all_reduce(std::span(&first, 1), Reduction::maximum);
    EXPECT_TRUE(std::isnan(first));
  });
}

// The first of equal values and the last NaN, whatever the transport.
TEST_P(Transport, ExtremaHaveTheSameBitsOnEveryTransport) {
  on_ranks([](Communicator& world) {
    const auto bits = [](double value) { return std::bit_cast<std::uint64_t>(value); };
    const auto nan_of = [](int rank) {
      return std::bit_cast<double>(0x7ff8000000000000u + static_cast<std::uint64_t>(rank) + 1);
    };
    const int last = world.size() - 1;
    for (const auto reduction : {Reduction::maximum, Reduction::minimum}) {
      std::vector<double> data{world.rank() == 0 ? -0.0 : 0.0, world.rank() == 0 ? 0.0 : -0.0,
                               nan_of(world.rank()), world.rank() == last ? 1.0 : nan_of(0)};
      world.all_reduce(data, reduction);
      EXPECT_EQ(bits(data[0]), bits(-0.0));
      EXPECT_EQ(bits(data[1]), bits(0.0));
      EXPECT_EQ(bits(data[2]), bits(nan_of(last)));
      EXPECT_EQ(bits(data[3]), bits(last == 0 ? 1.0 : nan_of(0)));
    }
  });
}

TEST_P(Transport, GathersDifferentLengths) {
  on_ranks([](Communicator& world) {
    const auto brought_by = [](int rank, int step) {
      constexpr std::size_t lengths[] = {0, 1, 124, 125, 126, 5003, 1009};
      return random_bytes(lengths[static_cast<std::size_t>(rank + step) % std::size(lengths)],
                          static_cast<std::uint64_t>(rank));
    };
    for (int step = 0; step < 7; ++step) {
      const auto all = world.all_gather(brought_by(world.rank(), step));
      EXPECT_EQ(all.size(), static_cast<std::size_t>(world.size()));
      for (std::size_t from = 0; from < all.size(); ++from) {
        EXPECT_EQ(all[from], brought_by(static_cast<int>(from), step)) << "from " << from;
      }
    }
    EXPECT_EQ(world.all_gather({}), std::vector<Bytes>(static_cast<std::size_t>(world.size())));
  });
}

TEST_P(Transport, WaitsAtTheBarrierForTheLast) {
  on_ranks([](Communicator& world) {
    const auto now = [] {
      return Index{std::chrono::steady_clock::now().time_since_epoch().count()};
    };
    for (int late = 0; late < world.size(); ++late) {
      if (world.rank() == late) std::this_thread::sleep_for(std::chrono::milliseconds(3));
      Index arrival = now();
      world.barrier();
      const Index departure = now();
      world.all_reduce(std::span(&arrival, 1), Reduction::maximum);
      EXPECT_GE(departure, arrival);
    }
  });
}

void pass_around(Communicator& world, std::uint64_t seed) {
  const auto from = static_cast<std::uint64_t>(previous_of(world));
  const Bytes sent = random_bytes(1009, seed + static_cast<std::uint64_t>(world.rank()));
  Bytes received(sent.size());
  world.exchange(Send{next_of(world), sent}, Receive{previous_of(world), received})->wait();
  EXPECT_EQ(received, random_bytes(1009, seed + from));
}

TEST_P(Transport, MakesCommunicatorsOfTheFirstRanks) {
  on_ranks([](Communicator& world) {
    for (int ranks = 1; ranks <= world.size(); ++ranks) {
      const auto part = world.first(ranks);
      const auto again = world.first(ranks);
      EXPECT_EQ(part != nullptr, world.rank() < ranks);
      if (part) {
        EXPECT_EQ(part->rank(), world.rank());
        EXPECT_EQ(part->size(), ranks);
        EXPECT_EQ(part->name(), world.name());
        pass_around(*part, 100);
        pass_around(*again, 200);
        Index one = 1;
        part->all_reduce(std::span(&one, 1), Reduction::sum);
        EXPECT_EQ(one, ranks);
        const auto inner = part->first(1);
        EXPECT_EQ(inner != nullptr, world.rank() == 0);
      }
      pass_around(world, 300);
    }
  });
}

}  // namespace
}  // namespace annulus::comm
