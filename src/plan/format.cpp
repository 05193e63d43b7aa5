#include "annulus/plan/format.hpp"

#include <fmt/format.h>

namespace annulus {
namespace {

/// "1 step", "2 steps"
std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The rows of an item, where they are not all of its owner.
std::string to_string(const Plan& plan, const Item& item) {
  std::string text = fmt::format("{}", item.owner);
  if (item.rows.count() == plan.key_rows(item.owner)) return text;
  const char* before = "[";
  for (const auto& [begin, end] : item.rows.intervals()) {
    text += fmt::format("{}{}..{}", before, begin, end - 1);
    before = " ";
  }
  return text + "]";
}

/// What a rank computes with: keys that it holds itself, and those that it reads where they are.
std::string to_string(const Plan& plan, const std::vector<Compute>& computes, int rank) {
  if (computes.empty()) return "computes nothing";
  std::string text = "computes with keys of";
  for (const auto& [keys, holder] : computes) {
    text += " " + to_string(plan, keys);
    if (holder != rank && holder != keys.owner) text += fmt::format(" (held by {})", holder);
  }
  return text;
}

std::string to_string(const Plan& plan, const std::vector<Transfer>& transfers,
                      std::string_view verb, std::string_view preposition) {
  std::string text;
  for (const auto& [item, peer, due, returns] : transfers) {
    text += fmt::format(", {} {} of {} {} {}", verb, item.what == What::keys ? "keys" : "gradients",
                        to_string(plan, item), preposition, peer);
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
  return fmt::format("{} over {}, {} sharding, {}, {}", name_of(plan.schedule()),
                     plan.reads_in_place() ? fmt::format("{} of {}", counted(nodes, "node"),
                                                         counted(plan.peers(0).size(), "rank"))
                                           : counted(nodes, "rank"),
                     sharding, counted(plan.step_count(), "step"), name_of(plan.data_type()));
}

std::string to_string(const Plan& plan, int rank) {
  const auto queries = plan.query_shard(rank);
  const auto keys = plan.key_shard(rank);
  const auto text = fmt::format("rank {} holds queries {}", rank, to_string(queries));
  return text +
         (queries == keys ? " and the same keys" : fmt::format(", keys {}", to_string(keys)));
}

std::string to_string(const Plan& plan, int rank, const Step& step) {
  return to_string(plan, step.computes, rank) + to_string(plan, step.sends, "sends", "to") +
         to_string(plan, step.receives, "receives", "from");
}

}  // namespace annulus
