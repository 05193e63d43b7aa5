#include "annulus/measure/transfers.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <list>
#include <vector>

#include "annulus/device/buffer_pool.hpp"
#include "ring/due_transfers.hpp"

namespace annulus::measure {
namespace {

using device::Buffer;

/// The exchange goes first: until it is done, it uses the buffers.
struct UnderWay {
  std::size_t due;
  std::vector<Buffer> rooms{};
  std::unique_ptr<comm::Exchange> exchange{};
};

/// The transfers of a program, as the engine starts and awaits them.
class Transfers {
 public:
  Transfers(const Plan& plan, Pass pass, comm::Communicator& communicator,
            const std::shared_ptr<device::Stream>& stream)
      : plan_(plan),
        program_(plan.program(communicator.rank(), pass)),
        communicator_(communicator),
        pool_(stream, communicator.exchanged_memory()) {
    Index largest = 0;
    for (const auto& step : program_.steps) {
      for (const auto& send : step.sends) largest = std::max(largest, plan.bytes(send.item));
    }
    // Pages that were never written would be read from cache.
    payload_ = Buffer(stream, static_cast<std::size_t>(largest), communicator.exchanged_memory());
    if (!payload_.empty()) stream->clear(payload_.data(), payload_.size());
  }

  /// Whether this rank sends anything.
  [[nodiscard]] bool sends() const { return !payload_.empty(); }

  void run() {
    for (std::size_t at = 0; at < program_.steps.size(); ++at) {
      wait_for_due(at);
      const auto& step = program_.steps[at];
      for (const auto due : ring::dues_of(step)) start(step, due);
    }
    wait_for_due(program_.steps.size());
    pool_.stream()->synchronize();
  }

 private:
  void start(const Step& step, std::size_t due) {
    auto& transfers = under_way_.emplace_back(UnderWay{.due = due});
    const auto bytes = [&](const Transfer& transfer) {
      return static_cast<std::size_t>(plan_.bytes(transfer.item));
    };
    std::vector<comm::Send> sends;
    std::vector<comm::Receive> receives;
    for (const auto& send : step.sends) {
      if (send.due == due) sends.push_back({send.peer, payload_.bytes().first(bytes(send))});
    }
    for (const auto& receive : step.receives) {
      if (receive.due != due) continue;
      transfers.rooms.push_back(pool_.take(bytes(receive)));
      receives.push_back({receive.peer, transfers.rooms.back().bytes().first(bytes(receive))});
    }
    transfers.exchange = communicator_.exchange_on(*pool_.stream(), sends, receives);
  }

  void wait_for_due(std::size_t step) {
    ring::wait_for_due(under_way_, step, [this](UnderWay& transfers) {
      transfers.exchange.reset();
      for (auto& room : transfers.rooms) pool_.give(std::move(room));
    });
  }

  const Plan& plan_;
  Program program_;
  comm::Communicator& communicator_;
  device::BufferPool pool_;
  Buffer payload_;
  std::list<UnderWay> under_way_;
};

double largest_of_ranks(comm::Communicator& communicator, double own) {
  std::array<double, 1> value{own};
  communicator.all_reduce(value, comm::Reduction::maximum);
  return value.front();
}

}  // namespace

double seconds_of_transfers_alone(const Plan& plan, Pass pass, comm::Communicator& communicator,
                                  const std::shared_ptr<device::Stream>& stream) {
  using Clock = std::chrono::steady_clock;
  constexpr double enough_seconds = 0.1;
  constexpr int fewest_runs = 3;
  Transfers transfers(plan, pass, communicator, stream);
  if (largest_of_ranks(communicator, transfers.sends() ? 1 : 0) == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  transfers.run();
  double least = std::numeric_limits<double>::infinity();
  double spent = 0;
  for (int run = 0; run < fewest_runs || spent < enough_seconds; ++run) {
    communicator.barrier();
    const auto start = Clock::now();
    transfers.run();
    const double seconds =
        largest_of_ranks(communicator, std::chrono::duration<double>(Clock::now() - start).count());
    least = std::min(least, seconds);
    spent += seconds;
  }
  return least;
}

}  // namespace annulus::measure
