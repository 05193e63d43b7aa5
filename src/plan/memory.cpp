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
  const auto room_of = [&](const Item& item) { return room[static_cast<std::size_t>(item.what)]; };
  const auto keeps = [&](const Item& item) {
    return pass == Pass::forward && std::ranges::find(kept, item) != kept.end();
  };
  Bytes buffers;
  std::vector<Item> held;
  std::vector<Index> done(program.steps.size() + 1);  // bytes of transfers that are over by then
  if (pass == Pass::backward) {
    for (const auto& item : kept) buffers.take(room_of(item));
  }
  for (std::size_t at = 0; at < program.steps.size(); ++at) {
    const auto& step = program.steps[at];
    buffers.give(done[at]);
    for (const auto& item : step.takes) {
      held.push_back(item);
      if (shares) buffers.give(room_of(item));  // copied to where peers read it
    }
    for (const auto& item : step.releases) {
      if (!is_of_keys(item.what)) {
        buffers.give(plan.bytes(item));
        continue;
      }
      std::erase(held, item);
      if (keeps(item)) {
        if (shares) buffers.take(room_of(item));  // copied from there
      } else if (!shares) {
        buffers.give(room_of(item));
      }
    }
    for (const auto& item : step.begins) {
      held.push_back(item);
      if (!shares) buffers.take(room_of(item));
    }
    for (const auto& send : step.sends) {
      const bool packed = std::ranges::find(held, send.item) != held.end() ||
                          (shares && send.item == plan.keys_of(rank));
      if (packed) continue;
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
        buffers.take(room_of(receive.item));
        done[receive.due] += room_of(receive.item);
      } else {
        held.push_back(receive.item);
        if (!shares) buffers.take(room_of(receive.item));
      }
    }
  }
  return buffers.peak();
}

/// Rows of the most keys that the rank computes with at once.
Index most_read(const Program& program) {
  Index rows = 0;
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) rows = std::max(rows, compute.keys.rows.count());
  }
  return rows;
}

/// Items of some heads of what is the rank's own that it computes with: those of a team.
std::vector<Item> own_parts(const Plan& plan, int rank, const Program& program) {
  std::vector<Item> parts;
  if (plan.schedule().heads == 1) return parts;
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) {
      for (const auto& item : {compute.queries, compute.keys}) {
        const bool known = std::ranges::find(parts, item) != parts.end();
        if (item.owner == rank && !known) parts.push_back(item);
      }
    }
  }
  return parts;
}

/// Items of queries that a pass has a state of beside that of the rank's own: of others, and of
/// `parts` of its own.
std::vector<Item> guests_of(const Program& program, const std::vector<Item>& parts) {
  std::vector<Item> guests;
  for (const auto& part : parts) {
    if (part.what == What::queries) guests.push_back(part);
  }
  for (const auto& step : program.steps) {
    for (const auto& receive : step.receives) {
      if (receive.item.what == What::queries) guests.push_back(receive.item);
    }
  }
  return guests;
}

}  // namespace

Index room_for(const Plan& plan, const Program& program, What what) {
  Index room = 0;
  const auto fit = [&](const Item& item) {
    if (item.what == what) room = std::max(room, plan.bytes(item));
  };
  for (const auto& step : program.steps) {
    for (const auto& item : step.takes) fit(item);
    for (const auto& item : step.begins) fit(item);
    for (const auto& receive : step.receives) fit(receive.item);
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
  const auto parts = own_parts(plan, rank, program);
  Index states = rows;  // of rows and heads
  for (const auto& guest : guests_of(program, parts)) {
    states += guest.rows.count() * guest.heads.size();
  }
  if (pass == Pass::forward) {
    for (const auto& part : parts) {
      if (part.what == What::queries) buffers += plan.bytes(part.as(What::states));
    }
    return {.inputs = inputs,
            .outputs = results,
            .state = states * (state_width(d_v) + 1) * number,  // and the scale
            .buffers = buffers};
  }
  // What is added to the own gradients at the end.
  for (const auto& part : parts) {
    buffers += plan.bytes(
        part.as(part.what == What::queries ? What::query_gradients : What::key_gradients));
  }
  if (plan.schedule().queries_travel()) {
    buffers += plan.bytes(plan.queries_of(rank).as(What::query_gradients));
  }
  const Index key_width = problem.key_heads * (d + d_v) * sum;
  return {.inputs = inputs + results + rows * d_v * element,
          .outputs = rows * d * sum + plan.key_rows(rank) * key_width,
          // the sums of dq, scale twice, <dout, out> and d scale; lse_low twice, lse, <dout, out>;
          // the low parts of the sums of dk and dv
          .state = states * ((d + 4) * number + 4 * sum) + most_read(program) * key_width,
          .buffers = buffers};
}

}  // namespace annulus
