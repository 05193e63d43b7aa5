#include "ring/execute.hpp"

#include <algorithm>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "annulus/base/error.hpp"
#include "ring/due_transfers.hpp"

namespace annulus::ring {
namespace {

/// An item on its way to be taken in: all but keys, which arrive where they stay.
struct Arrival {
  Item item;
  Buffer bytes;
};

/// Transfers that started together and are due together. The exchange goes first: until it is done,
/// it uses the buffers.
struct UnderWay {
  std::size_t due = 0;
  PassMeter::Moment begin{};
  std::optional<PassMeter::Moment> end{};  // once it is seen to be done
  std::vector<TraceEvent> traced{};
  std::vector<Buffer> copies{};  // of what is sent
  std::vector<Arrival> arrivals{};
  std::unique_ptr<comm::Exchange> exchange{};
};

class Execution {
 public:
  Execution(const Program& program, comm::Communicator& communicator, SharedNode& node,
            const Stores& stores, std::vector<HeldItem> held, bool keep, PassMeter& meter,
            const kernels::Poll& interrupt)
      : program_(program),
        communicator_(communicator),
        node_(node),
        store_(stores.keys),
        queries_(stores.queries),
        held_(std::move(held)),
        keep_(keep),
        meter_(meter),
        interrupt_(interrupt) {}

  std::vector<HeldItem> run(const ComputeStep& compute) {
    const kernels::Poll poll = [this] {
      for (auto& transfers : under_way_) {
        if (transfers.exchange->poll()) note_end(transfers);
      }
      if (interrupt_) interrupt_();
    };
    for (std::size_t at = 0; at < program_.steps.size(); ++at) {
      const auto& step = program_.steps[at];
      meter_.waiting(at, [&] {
        wait_for_due(at);
        for (const auto& item : step.takes) store_.take(take_held(item), at);
        node_.meet();
      });
      take_in_arrived();
      for (const auto& item : step.releases) let_go(item);
      for (const auto& item : step.begins) store_.begin(item, at);
      start(step, at);
      if (!compute) continue;
      for (const auto& part : step.computes) {
        meter_.waiting(at, [&] { node_.wait_for_turn(part.holder, at, poll); });
        meter_.computing(at, part.keys.front(), [&] { compute(part, at, poll); });
        node_.end_turn(part.holder);
      }
    }
    meter_.waiting(program_.steps.size(), [&] { wait_for_due(program_.steps.size()); });
    take_in_arrived();
    if (keep_) {
      for (const auto& item : program_.kept) {
        if (std::ranges::find(kept_, item, &HeldItem::item) == kept_.end()) let_go(item);
      }
    }
    return std::move(kept_);
  }

 private:
  void note_end(UnderWay& transfers) const {
    if (meter_.traces() && !transfers.end) transfers.end = meter_.now();
  }

  void wait_for_due(std::size_t step) {
    ring::wait_for_due(under_way_, step, [this](UnderWay& transfers) {
      note_end(transfers);
      transfers.exchange.reset();
      for (const auto& event : transfers.traced) {
        meter_.add(event, transfers.begin, *transfers.end);
      }
      for (auto& copy : transfers.copies) store_.give(std::move(copy));
      for (auto& arrival : transfers.arrivals) arrived_.push_back(std::move(arrival));
    });
  }

  [[nodiscard]] HeldItem take_held(const Item& item) {
    const auto found = std::ranges::find(held_, item, &HeldItem::item);
    ensure(found != held_.end(), "a pass takes up an item that no earlier one kept");
    auto held = std::move(*found);
    held_.erase(found);
    return held;
  }

  void take_in_arrived() {
    for (auto& [item, bytes] : arrived_) {
      if (is_of_keys(item.what)) {
        store_.add(item, std::move(bytes));
      } else {
        queries_->arrived(item, std::move(bytes));
      }
    }
    arrived_.clear();
  }

  void let_go(const Item& item) {
    if (!is_of_keys(item.what)) {
      queries_->release(item);
      return;
    }
    const bool keeps = keep_ && std::ranges::find(program_.kept, item) != program_.kept.end();
    if (keeps) {
      kept_.push_back(store_.keep(item));
    } else {
      store_.release(item);
    }
  }

  /// Starts the transfers of a step.
  void start(const Step& step, std::size_t at) {
    for (const std::size_t due : dues_of(step)) start(step, at, due);
  }

  void start(const Step& step, std::size_t at, std::size_t due) {
    auto& transfers = under_way_.emplace_back();
    transfers.due = due;
    if (meter_.traces()) transfers.begin = meter_.now();
    const auto trace = [&](Activity activity, const Transfer& transfer, std::size_t bytes) {
      if (!meter_.traces()) return;
      transfers.traced.push_back({.activity = activity,
                                  .step = at,
                                  .item = transfer.item,
                                  .peer = transfer.peer,
                                  .bytes = static_cast<Index>(bytes)});
    };
    std::vector<comm::Send> sends;
    std::vector<comm::Receive> receives;
    for (const auto& send : step.sends) {
      if (send.due != due) continue;
      Buffer copy;
      sends.push_back({send.peer, packed(send.item, copy)});
      meter_.sends(sends.back().data.size());
      trace(Activity::sends, send, sends.back().data.size());
      if (!copy.empty()) transfers.copies.push_back(std::move(copy));
    }
    for (const auto& receive : step.receives) {
      if (receive.due != due) continue;
      receives.push_back({receive.peer, room_for(receive, transfers)});
      trace(Activity::receives, receive, receives.back().data.size());
    }
    transfers.exchange = communicator_.exchange_on(meter_.stream(), sends, receives);
  }

  std::span<const std::byte> packed(const Item& item, Buffer& copy) {
    if (is_of_keys(item.what)) return store_.packed(item, copy);
    copy = queries_->packed(item);
    return copy.bytes().first(store_.bytes(item));
  }

  std::span<std::byte> room_for(const Transfer& receive, UnderWay& transfers) {
    const auto& item = receive.item;
    if (item.what == What::keys) return store_.arrival(item, receive.due);
    auto room =
        item.what == What::key_gradients ? store_.room_for_gradients() : queries_->room_for(item);
    transfers.arrivals.push_back({item, std::move(room)});
    return transfers.arrivals.back().bytes.bytes().first(store_.bytes(item));
  }

  const Program& program_;
  comm::Communicator& communicator_;
  SharedNode& node_;
  ItemStore& store_;
  QueryStore* queries_;
  std::vector<HeldItem> held_;
  bool keep_;
  PassMeter& meter_;
  const kernels::Poll& interrupt_;
  std::vector<HeldItem> kept_;
  std::vector<Arrival> arrived_;
  std::list<UnderWay> under_way_;
};

}  // namespace

std::vector<HeldItem> execute(const Program& program, comm::Communicator& communicator,
                              SharedNode& node, const Stores& stores, std::vector<HeldItem> held,
                              bool keep, const ComputeStep& compute, PassMeter& meter,
                              const kernels::Poll& interrupt) {
  return Execution(program, communicator, node, stores, std::move(held), keep, meter, interrupt)
      .run(compute);
}

}  // namespace annulus::ring
