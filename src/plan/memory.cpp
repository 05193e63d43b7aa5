#include "annulus/plan/memory.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "annulus/attention/partial_state.hpp"
#include "annulus/plan/node_memory.hpp"

namespace annulus {
namespace {

/// Bytes that come and go.
class Bytes {
 public:
  void take(Index bytes) {
    now_ += bytes;
    peak_ = std::max(peak_, now_);
  }
  void give(Index bytes) { now_ -= bytes; }
  [[nodiscard]] Index peak() const { return peak_; }

 private:
  Index now_ = 0;
  Index peak_ = 0;
};

/// The most bytes of what is packed, received, summed and kept at once beside `rank`'s own tensors
/// and what its node shares.
Index most_buffered(const Plan& plan, int rank, Pass pass, const std::vector<Item>& kept,
                    const Program& program) {
  const bool shares = plan.peers(rank).size() > 1;
  const std::array room{room_for(plan, program, What::keys),
                        room_for(plan, program, What::key_gradients)};
  const Index arriving = room_for_arriving_gradients(plan, program);
  const auto room_of = [&](const Item& item) { return room[static_cast<std::size_t>(item.what)]; };
  auto next_kept = kept.begin();
  const auto keeps = [&](const Item& item) {
    if (pass == Pass::backward || next_kept == kept.end() || *next_kept != item) return false;
    ++next_kept;
    return true;
  };
  // A buffer is free when all is let go that came to lie in it together.
  struct Held {
    Item item;
    std::size_t piece;
  };
  Bytes buffers;
  std::vector<Held> held;
  std::size_t pieces = 0;
  const auto find = [&](const Item& item) { return std::ranges::find(held, item, &Held::item); };
  const auto hold = [&](const ItemList& piece) {
    if (find(piece.front()) != held.end()) return;
    for (const auto& item : piece) held.push_back({item, pieces});
    ++pieces;
    if (!shares) buffers.take(room_of(piece.front()));
  };
  const auto let_go = [&](const Item& item) {
    const auto piece = find(item)->piece;
    held.erase(find(item));
    return std::ranges::find(held, piece, &Held::piece) == held.end();
  };
  // Sums among others are packed to be sent.
  const auto lies_ready = [&](const Item& item) {
    const auto found = find(item);
    if (found == held.end() || item.what == What::keys) return found != held.end();
    return std::ranges::count(held, found->piece, &Held::piece) == 1;
  };
  std::vector<Index> done(program.steps.size() + 1);  // bytes of transfers that are over by then
  if (pass == Pass::backward) {
    for (const auto& item : kept) buffers.take(room_of(item));
  }
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    const auto& step = program.steps[at];
    buffers.give(done[at]);
    for (const auto& item : step.takes) {
      held.push_back({item, pieces++});
      if (shares) buffers.give(room_of(item));  // copied to where peers read it
    }
    for (const auto& item : step.releases) {
      if (!is_of_keys(item.what)) {
        buffers.give(plan.bytes(item));
        continue;
      }
      const bool last = let_go(item);
      if (keeps(item)) {
        if (shares) buffers.take(room_of(item));  // copied from there
      } else if (!shares && last) {
        buffers.give(room_of(item));
      }
    }
    for (const auto& item : step.begins) hold(program.piece_of(item, at));
    for (const auto& send : step.sends) {
      if (lies_ready(send.item) || (shares && send.item == plan.keys_of(rank))) continue;
      buffers.take(plan.bytes(send.item));
      done[send.due] += plan.bytes(send.item);
    }
    for (const auto& receive : step.receives) {
      const auto what = receive.item.what;
      if (!is_of_keys(what)) {
        buffers.take(plan.bytes(receive.item));
        const bool stays = what == What::queries || what == What::output_gradients;
        if (!stays) done[receive.due] += plan.bytes(receive.item);
      } else if (what == What::key_gradients) {
        buffers.take(arriving);
        done[receive.due] += arriving;
      } else {
        hold(program.piece_of(receive.item, receive.due));
      }
    }
  }
  return buffers.peak();
}

/// Rows and heads of the most keys that the rank computes with at once.
Index most_read(const Program& program) {
  Index most = 0;
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) {
      most = std::max(most, compute.keys.rows() * compute.keys.heads().size());
    }
  }
  return most;
}

/// Keys of the rank's own, of some heads, that it computes with, each once.
std::vector<Item> own_parts(const Plan& plan, int rank, const Program& program) {
  std::vector<Item> parts;
  const auto all = plan.keys_of(rank);
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) {
      const auto& item = compute.keys.front();
      if (item.owner != rank || item == all) continue;
      if (std::ranges::find(parts, item) == parts.end()) parts.push_back(item);
    }
  }
  return parts;
}

/// Queries that a pass has a state of beside that of all the rank's own, when these are most.
std::vector<ItemList> guests_of(const Plan& plan, int rank, const Program& program) {
  const auto size = [](const std::vector<ItemList>& guests) {
    Index rows = 0;
    for (const auto& queries : guests) rows += queries.rows() * queries.heads().size();
    return rows;
  };
  const ItemList own = plan.queries_of(rank);
  std::vector<ItemList> guests;
  std::vector<ItemList> most;
  for (const auto& step : program.steps) {
    for (const auto& item : step.releases) {
      std::erase_if(guests, [&](const ItemList& queries) { return queries.contains(item); });
    }
    for (const auto& compute : step.computes) {
      const auto& queries = compute.queries;
      if (queries == own || std::ranges::find(guests, queries) != guests.end()) continue;
      guests.push_back(queries);
    }
    if (size(guests) > size(most)) most = guests;
  }
  return most;
}

/// Bytes of what is made of guests where it is not made in the message that takes it home: of own
/// queries, and of those of several owners, which have been joined besides.
Index guest_bytes(const Plan& plan, int rank, Pass pass, const ItemList& guests) {
  const bool joined = guests.size() > 1;
  const bool forward = pass == Pass::forward;
  Index bytes = 0;
  for (const auto& item : guests) {
    if (joined || item.owner == rank) {
      bytes += plan.bytes(item.as(forward ? What::states : What::query_gradients));
    }
    if (!joined) continue;
    bytes += plan.bytes(item);
    if (!forward) bytes += plan.bytes(item.as(What::output_gradients));
  }
  return bytes;
}

}  // namespace

Index room_for(const Plan& plan, const Program& program, What what) {
  Index room = 0;
  const auto fit = [&](const ItemList& piece) {
    Index bytes = 0;
    for (const auto& item : piece) bytes += plan.bytes(item);
    room = std::max(room, bytes);
  };
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    const auto& step = program.steps[at];
    for (const auto& item : step.takes) {
      if (item.what == what) fit(item);
    }
    for (const auto& item : step.begins) {
      if (item.what == what) fit(program.piece_of(item, at));
    }
    if (what != What::keys) continue;  // gradients that arrive are added to what is there
    for (const auto& receive : step.receives) {
      if (receive.item.what == what) fit(program.piece_of(receive.item, receive.due));
    }
  }
  return room;
}

Index room_for_arriving_gradients(const Plan& plan, const Program& program) {
  Index room = 0;
  for (const auto& step : program.steps) {
    for (const auto& receive : step.receives) {
      if (receive.item.what == What::key_gradients) room = std::max(room, plan.bytes(receive.item));
    }
  }
  return room;
}

RankMemory memory_of(const Plan& plan, int rank, Pass pass) {
  const auto forward = plan.program(rank);
  return memory_of(plan, rank, pass, forward,
                   pass == Pass::forward ? forward : plan.backward_program(rank, forward));
}

RankMemory memory_of(const Plan& plan, int rank, Pass pass, const Program& forward,
                     const Program& program) {
  const auto& problem = plan.problem();
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  const auto element = static_cast<Index>(size_of(plan.data_type()));
  const auto sum = static_cast<Index>(size_of(accumulator_of(plan.data_type())));
  const auto number = static_cast<Index>(sizeof(double));
  const Index rows = plan.query_rows(rank) * problem.query_heads;
  const Index inputs = rows * d * element + plan.bytes(plan.keys_of(rank));
  const Index results = rows * (d_v + 1) * sum;  // out and lse
  Index buffers =
      node_memory_of(plan, pass).bytes + most_buffered(plan, rank, pass, forward.kept, program);
  Index states = rows;  // of rows and heads
  Index betas = plan.query_rows(rank) * number;
  for (const auto& guests : guests_of(plan, rank, program)) {
    betas += guests.rows() * number;
    states += guests.rows() * guests.heads().size();
    buffers += guest_bytes(plan, rank, pass, guests);
  }
  if (pass == Pass::forward) {
    return {.inputs = inputs,
            .outputs = results,
            .state = states * state_width(d_v) * number + betas,
            .buffers = buffers};
  }
  // What is added to the own gradients at the end.
  for (const auto& part : own_parts(plan, rank, program)) {
    buffers += plan.bytes(part.as(What::key_gradients));
  }
  if (plan.schedule().queries_travel()) {
    buffers += plan.bytes(plan.queries_of(rank).as(What::query_gradients));
  }
  const Index key_width = problem.key_heads * (d + d_v) * sum;
  return {
      .inputs = inputs + results + rows * d_v * element,
      .outputs = rows * d * sum + plan.key_rows(rank) * key_width,
      // the sums of dq, <dout, out> and d scale; lse_low twice, lse, <dout, out>; the low parts
      // of the sums of dk and dv
      .state = states * ((d + 2) * number + 4 * sum) + betas + most_read(program) * (d + d_v) * sum,
      .buffers = buffers};
}

}  // namespace annulus
