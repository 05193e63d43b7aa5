#include "annulus/plan/format.hpp"

#include <array>

#include <fmt/format.h>

namespace annulus {
namespace {

/// "1 step", "2 steps"
std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The owner of an item, and its rows and heads where they are not all of its owner.
std::string to_string(const Plan& plan, const Item& item) {
  const auto all = is_of_keys(item.what) ? plan.keys_of(item.owner) : plan.queries_of(item.owner);
  std::string text = fmt::format("{}", item.owner);
  if (item.rows.count() != all.rows.count()) {
    const char* before = "[";
    for (const auto& [begin, end] : item.rows.intervals()) {
      text += fmt::format("{}{}..{}", before, begin, end - 1);
      before = " ";
    }
    text += "]";
  }
  const auto& [begin, end] = item.heads;
  if (item.heads == all.heads) return text;
  return text + (end - begin == 1 ? fmt::format(" (head {})", begin)
                                  : fmt::format(" (heads {}..{})", begin, end - 1));
}

std::string to_string(const Plan& plan, const ItemList& items) {
  std::string text;
  for (const auto& item : items) text += " " + to_string(plan, item);
  return text;
}

/// What queries meet: keys that a rank holds itself, and those that it reads where they are.
std::string to_string(const Plan& plan, const std::vector<Compute>& computes, int rank) {
  if (computes.empty()) return "computes nothing";
  std::string text = "computes";
  const ItemList* before = nullptr;
  for (const auto& [queries, keys, holder] : computes) {
    if (before == nullptr || !(*before == queries)) {
      if (!(queries == plan.queries_of(rank))) {
        text +=
            fmt::format("{} queries of{}", before == nullptr ? "" : ",", to_string(plan, queries));
      }
      text += " with keys of";
      before = &queries;
    }
    text += to_string(plan, keys);
    const bool elsewhere = holder != rank && holder != keys.front().owner;
    if (elsewhere) text += fmt::format(" (held by {})", holder);
  }
  return text;
}

std::string_view words_for(What what) {
  constexpr std::array<std::string_view, 6> words{"keys",   "gradients",        "queries",
                                                  "states", "output gradients", "query gradients"};
  return words[static_cast<std::size_t>(what)];
}

std::string to_string(const Plan& plan, const std::vector<Transfer>& transfers,
                      std::string_view verb, std::string_view preposition) {
  std::string text;
  for (const auto& transfer : transfers) {
    text += fmt::format(", {} {} of {} {} {}", verb, words_for(transfer.item.what),
                        to_string(plan, transfer.item), preposition, transfer.peer);
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
