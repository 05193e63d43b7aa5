#include "annulus/plan/format.hpp"

#include <fmt/format.h>

namespace annulus {
namespace {

/// "1 step", "2 steps"
std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// What a rank computes with: keys that it holds itself, and those that it reads where they are.
std::string to_string(const std::vector<Read>& reads, int rank) {
  if (reads.empty()) return "computes nothing";
  std::string text = "computes with keys of";
  for (const auto& [owner, holder] : reads) {
    text += fmt::format(" {}", owner);
    if (holder != rank && holder != owner) text += fmt::format(" (held by {})", holder);
  }
  return text;
}

}  // namespace

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
  auto sharding = std::string(name_of(plan.sharding()));
  if (plan.key_sharding() != plan.sharding()) {
    sharding += fmt::format(" (keys {})", name_of(plan.key_sharding()));
  }
  const auto nodes = static_cast<std::size_t>(plan.node_count());
  auto text = fmt::format("{} over {}, {} sharding, {}, {}\n", name_of(plan.schedule()),
                          plan.reads_in_place() ? fmt::format("{} of {}", counted(nodes, "node"),
                                                              counted(plan.peers(0).size(), "rank"))
                                                : counted(nodes, "rank"),
                          sharding, counted(plan.step_count(), "step"), name_of(plan.data_type()));
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const auto& queries = plan.query_shard(rank);
    const auto& keys = plan.key_shard(rank);
    text += fmt::format("rank {} holds queries {}", rank, to_string(queries));
    text += queries == keys ? " and the same keys\n" : fmt::format(", keys {}\n", to_string(keys));
  }
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      const auto& [reads, hop] = plan.program(rank)[step];
      text += fmt::format("step {} rank {}: {}", step, rank, to_string(reads, rank));
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
