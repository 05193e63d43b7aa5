#include "annulus/plan/format.hpp"

#include <fmt/format.h>

namespace annulus {

std::string to_string(const Run& run) {
  const Index last = run.first + (run.count - 1) * run.stride;
  const auto text = fmt::format("{}:{}..{}", run.document, run.first, last);
  return run.stride == 1 ? text : fmt::format("{}/{}", text, run.stride);
}

std::string to_string(const Shard& shard) {
  if (shard.empty()) return "nothing";
  constexpr std::size_t listed = 6;
  std::string text;
  for (std::size_t i = 0; i < shard.size() && i < listed; ++i) {
    text += (i > 0 ? " " : "") + to_string(shard[i]);
  }
  if (shard.size() > listed) text += fmt::format(" and {} more runs", shard.size() - listed);
  return text;
}

std::string to_string(const Plan& plan) {
  auto sharding = std::string(name_of(plan.sharding));
  if (plan.key_sharding != plan.sharding) {
    sharding += fmt::format(" (keys {})", name_of(plan.key_sharding));
  }
  auto text = fmt::format("ring over {} rank{}, {} sharding, {} step{}, {}\n", plan.ranks,
                          plan.ranks == 1 ? "" : "s", sharding, plan.steps.size(),
                          plan.steps.size() == 1 ? "" : "s", name_of(plan.data_type));
  for (int rank = 0; rank < plan.ranks; ++rank) {
    const auto& queries = plan.query_shards[static_cast<std::size_t>(rank)];
    const auto& keys = plan.key_shards[static_cast<std::size_t>(rank)];
    text += fmt::format("rank {} holds queries {}", rank, to_string(queries));
    text += queries == keys ? " and the same keys\n" : fmt::format(", keys {}\n", to_string(keys));
  }
  for (std::size_t step = 0; step < plan.steps.size(); ++step) {
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const auto& [owner, hop] = plan.steps[step].ranks[static_cast<std::size_t>(rank)];
      text += fmt::format("step {} rank {}: ", step, rank);
      text += owner >= 0 ? fmt::format("computes with keys of {}", owner) : "computes nothing";
      if (hop.to >= 0) text += fmt::format(", sends keys of {} to {}", hop.send_owner, hop.to);
      if (hop.from >= 0) {
        text += fmt::format(", receives keys of {} from {}", hop.receive_owner, hop.from);
      }
      text += '\n';
    }
  }
  return text;
}

}  // namespace annulus
