#include "c/plan.hpp"

#include <algorithm>
#include <cstring>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/build.hpp"
#include "annulus/plan/format.hpp"
#include "annulus/plan/memory.hpp"
#include "c/call.hpp"

namespace annulus::c {
namespace {

/// The plan, and `rank` as an index into its shards.
const Plan& plan_with_rank(const annulus_plan* plan, int rank) {
  const Plan& result = given(plan, "plan").plan;
  if (rank < 0 || rank >= result.ranks()) {
    throw InputError(
        fmt::format("rank is {}; the plan is for ranks 0 to {}", rank, result.ranks() - 1));
  }
  return result;
}

void copy_indices(const Shard& shard, std::span<const Index> offsets, std::int64_t* to) {
  if (to == nullptr) return;
  std::ranges::copy(packed_rows(shard, offsets), to);
}

}  // namespace

std::string& message() {
  thread_local std::string text;
  return text;
}

}  // namespace annulus::c

using annulus::c::call;
using annulus::c::given;

const char* annulus_message(void) {
  return annulus::c::message().c_str();
}

const char* annulus_version(void) {
  static const std::string version(annulus::version());
  return version.c_str();
}

const char* annulus_statistic_name(int index) {
  const auto all = annulus::row_statistics();
  const auto place = static_cast<std::size_t>(index);
  return index >= 0 && place < all.size() ? all[place].name : nullptr;
}

int annulus_plan_create(const annulus_problem* problem, const annulus_options* options, int ranks,
                        annulus_plan** plan) {
  return call([&] {
    annulus_plan*& result = given(plan, "plan");
    auto chosen = annulus::c::options_of(options);
    auto made = annulus::make_plan(annulus::c::problem_of(given(problem, "problem")),
                                   {.ranks = ranks}, chosen.plan);
    result = new annulus_plan{std::move(made), std::move(chosen)};
  });
}

void annulus_plan_destroy(annulus_plan* plan) {
  delete plan;
}

int annulus_plan_rows(const annulus_plan* plan, int rank, int64_t* query_rows, int64_t* key_rows) {
  return call([&] {
    const auto& made = annulus::c::plan_with_rank(plan, rank);
    given(query_rows, "query_rows") = made.query_rows(rank);
    given(key_rows, "key_rows") = made.key_rows(rank);
  });
}

int annulus_plan_row_indices(const annulus_plan* plan, int rank, int64_t* query_indices,
                             int64_t* key_indices) {
  return call([&] {
    const auto& made = annulus::c::plan_with_rank(plan, rank);
    const auto& documents = made.problem().documents;
    annulus::c::copy_indices(made.query_shard(rank), documents.query_offsets(), query_indices);
    annulus::c::copy_indices(made.key_shard(rank), documents.key_offsets(), key_indices);
  });
}

int annulus_plan_memory(const annulus_plan* plan, int rank, int backward, int64_t* bytes) {
  return call([&] {
    const auto& made = annulus::c::plan_with_rank(plan, rank);
    const auto pass = backward != 0 ? annulus::Pass::backward : annulus::Pass::forward;
    given(bytes, "bytes") = annulus::memory_of(made, rank, pass).total();
  });
}

int annulus_plan_text(const annulus_plan* plan, char* text, size_t capacity, size_t* needed) {
  return call([&] {
    const auto whole = annulus::to_string(given(plan, "plan").plan);
    if (capacity > 0) {
      const auto length = std::min(whole.size(), capacity - 1);
      std::memcpy(&given(text, "text"), whole.data(), length);
      text[length] = '\0';
    }
    if (needed != nullptr) *needed = whole.size() + 1;
  });
}
