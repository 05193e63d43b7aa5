#include <algorithm>

#include "plan/schedules/chains.hpp"

namespace annulus::schedules {

// Keys go the same way back, from where the forward pass left them, and so do their gradients, one
// step later. What was computed in step s of S is computed in step S - 1 - s. A transfer that
// started in step s and was due at t becomes one of gradients the other way, which starts when the
// receiver, now the sender, is done with them: after step S - 1 - t, due where the forward transfer
// started. Keys come back a step earlier, in time for that.
Program Chains::backward(const Program& forward) const {
  const std::size_t count = forward.steps.size();
  Program backward;
  backward.steps.resize(count + 1);  // in the last one gradients arrive that are added to the own
  const auto after = [&](std::size_t step) -> Step& { return backward.steps[count - step]; };
  const auto during = [&](std::size_t step) -> Step& { return backward.steps[count - 1 - step]; };
  const auto returned = [&](std::size_t arrived, std::size_t left, const Transfer& there,
                            auto transfers) {
    if (!there.returns) return;
    (during(arrived).*transfers)
        .push_back({.item = there.item, .peer = there.peer, .due = count - 1 - left});
  };
  for (std::size_t step = 0; step < count; ++step) {
    // Gradients, and keys as far as they come back.
    const auto& there = forward.steps[step];
    during(step).sends.reserve(2 * there.receives.size());
    during(step).receives.reserve(2 * there.sends.size());
    during(step).begins.reserve(there.receives.size());
    during(step).releases.reserve(2 * there.receives.size());
  }
  // Of two messages between the same ranks in one step, keys go first.
  for (std::size_t step = 0; step < count; ++step) {
    for (const auto& receive : forward.steps[step].receives) {
      returned(receive.due, step, receive, &Step::sends);
    }
    for (const auto& send : forward.steps[step].sends) {
      returned(send.due, step, send, &Step::receives);
    }
  }
  for (std::size_t step = 0; step < count; ++step) {
    const auto& there = forward.steps[step];
    during(step).computes = there.computes;
    for (const auto& send : there.sends) {
      after(send.due).receives.push_back(
          {.item = send.item.as(What::key_gradients), .peer = send.peer, .due = count - step});
    }
    for (const auto& receive : there.receives) {
      const auto sums = receive.item.as(What::key_gradients);
      const std::size_t due = count - step;
      after(receive.due).sends.push_back({.item = sums, .peer = receive.peer, .due = due});
      during(receive.due).begins.push_back(sums);
      backward.steps[due].releases.push_back(sums);
      after(receive.due).releases.push_back(receive.item);
      const bool kept = std::ranges::find(forward.kept, receive.item) != forward.kept.end();
      if (kept) during(receive.due).takes.push_back(receive.item);
    }
  }
  return backward;
}

}  // namespace annulus::schedules
