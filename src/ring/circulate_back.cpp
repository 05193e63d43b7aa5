#include "ring/circulate_back.hpp"

#include <memory>
#include <optional>

namespace annulus::ring {
namespace {

/// The shards that a rank lets go of at the end of a forward pass and where it takes them up again.
class Ends {
 public:
  explicit Ends(HeldShards held) : held_(std::move(held)) {}

  /// The latest one that was not taken yet, or none.
  [[nodiscard]] PackedShard take() {
    if (held_.shards.empty()) return {};
    auto shard = std::move(held_.shards.back());
    held_.shards.pop_back();
    return shard;
  }

 private:
  HeldShards held_;
};

/// One transfer in each direction, either of which may be missing.
std::unique_ptr<comm::Exchange> start(comm::Communicator& communicator,
                                      std::optional<comm::Send> send,
                                      std::optional<comm::Receive> receive, PassMeter& meter) {
  if (send) meter.sends(send->data.size());
  if (!send && !receive) return nullptr;
  return communicator.exchange_on(meter.stream(), send, receive);
}

}  // namespace

void circulate_back(const Plan& plan, comm::Communicator& communicator, SharedNode& node,
                    HeldShards held, ShardBuffers& buffers, GradientBuffers& sums,
                    const GradientStep& compute, PassMeter& meter) {
  const auto& program = plan.program(communicator.rank());
  Ends ends(std::move(held));
  const std::size_t last = program.size() - 1;
  buffers.hold(ends.take(), last);
  sums.hold(buffers.current_owner(), last);
  meter.waiting([&] { node.meet(); });
  for (std::size_t step = program.size(); step-- > 0;) {
    // The hop by which this step's shard came, and the one by which it went on.
    const Hop came = step > 0 ? program[step - 1].hop : Hop{};
    const Hop went = program[step].hop;

    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (came.receive_returns) send = {came.from, buffers.packed(came.receive_owner)};
    if (came.send_returns) receive = {came.to, buffers.arrival(came.send_owner)};
    // On all ranks before the gradients: two ranks tell them apart by their order alone.
    auto shard_exchange = start(communicator, send, receive, meter);

    send.reset();
    receive.reset();
    if (went.from >= 0) send = {went.from, sums.leaving(went.receive_owner)};
    if (went.to >= 0) receive = {went.to, sums.arrival(went.send_owner)};
    auto gradient_exchange = start(communicator, send, receive, meter);

    const kernels::Poll poll = [&] {
      if (shard_exchange) shard_exchange->poll();
      if (gradient_exchange) gradient_exchange->poll();
    };
    for (const auto& read : program[step].reads) {
      meter.waiting([&] { node.wait_for_turn(read.holder, step, poll); });
      compute(read, step, poll);
      node.end_turn(read.holder);
    }

    meter.waiting([&] {
      if (shard_exchange) shard_exchange->wait();
      if (gradient_exchange) gradient_exchange->wait();
      shard_exchange.reset();
      gradient_exchange.reset();
      // Before the peers meet, as they read it next.
      if (came.send_returns) {
        buffers.arrived(came.send_owner);
      } else if (came.from >= 0) {
        buffers.hold(ends.take(), step - 1);
      }
      node.meet();
    });

    // After it, as until then they add to what leaves.
    if (went.to >= 0) sums.arrived(went.send_owner);
    if (came.from >= 0) sums.hold(buffers.current_owner(), step - 1);
  }
  sums.finish();
}

}  // namespace annulus::ring
