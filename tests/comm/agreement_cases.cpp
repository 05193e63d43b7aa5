// Errors that all ranks learn of.

#include "annulus/comm/agreement.hpp"

#include "annulus/comm/error.hpp"
#include "comm/forwarding_communicator.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

/// "kind: message" of what the call throws.
std::string outcome_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return std::string("InputError: ") + error.what();
  } catch (const CommunicationError& error) {
    return std::string("CommunicationError: ") + error.what();
  } catch (const Error& error) {
    return std::string("Error: ") + error.what();
  }
  return "nothing";
}

TEST_P(Transport, RunsOnTheRootAlone) {
  on_ranks([](Communicator& world) {
    Index runs = 0;
    on_root(world, [&] { ++runs; });
    EXPECT_EQ(runs, world.rank() == 0 ? 1 : 0);
  });
}

TEST_P(Transport, LearnsOfTheRootsError) {
  on_ranks([](Communicator& world) {
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw InputError("--mask: 'x'"); }); }),
              "InputError: --mask: 'x'");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw Error("disk full"); }); }),
              "Error: disk full");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw std::runtime_error("other"); }); }),
              "Error: other");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw std::bad_alloc(); }); }),
              "Error: out of memory: std::bad_alloc");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw Error(""); }); }), "Error: ");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] { throw 42; }); }),
              "Error: an exception of unknown type");
    EXPECT_EQ(outcome_of([&] { on_root(world, [] {}); }), "nothing");
  });
}

TEST_P(Transport, LearnsOfAnyRanksError) {
  on_ranks([](Communicator& world) {
    EXPECT_EQ(outcome_of([&] { together(world, [] {}); }), "nothing");
    for (int lowest = 0; lowest < world.size(); ++lowest) {
      const auto name = [](int rank) { return "rank " + std::to_string(rank); };
      EXPECT_EQ(outcome_of([&] {
                  together(world, [&] {
                    if (world.rank() == lowest) throw InputError(name(lowest));
                    if (world.rank() > lowest) throw Error(name(world.rank()));
                  });
                }),
                "InputError: " + name(lowest));
      EXPECT_EQ(outcome_of([&] {
                  together(world, [&] {
                    if (world.rank() == lowest) throw CommunicationError(name(lowest));
                  });
                }),
                "CommunicationError: " + name(lowest));
      EXPECT_EQ(outcome_of([&] {
                  together(world, [&] {
                    if (world.rank() == lowest) throw Error(name(lowest));
                    if (world.rank() > lowest) throw InputError(name(world.rank()));
                  });
                }),
                "Error: " + name(lowest));
    }
    world.barrier();
  });
}

/// Counts what it is asked for.
class CountingCommunicator final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;

  using ForwardingCommunicator::all_reduce;
  void barrier() override {
    ++others;
    ForwardingCommunicator::barrier();
  }
  void broadcast(std::span<std::byte> data, int root) override {
    ++others;
    ForwardingCommunicator::broadcast(data, root);
  }
  void all_reduce(std::span<Index> data, Reduction reduction) override {
    reduced += static_cast<Index>(data.size());
    ForwardingCommunicator::all_reduce(data, reduction);
  }
  [[nodiscard]] std::vector<Bytes> all_gather(std::span<const std::byte> data) override {
    ++others;
    return ForwardingCommunicator::all_gather(data);
  }

  Index reduced = 0;  // numbers
  Index others = 0;   // collectives
};

TEST_P(Transport, AgreesOnNothingWithOneNumber) {
  on_ranks([](Communicator& world) {
    CountingCommunicator counting(world);
    together(counting, [] {});
    EXPECT_EQ(counting.reduced, 1);
    EXPECT_EQ(counting.others, 0);
  });
}

}  // namespace
}  // namespace annulus::comm
