// What the documentation lists is what is registered.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "annulus/attention/statistics.hpp"
#include "annulus/comm/transport.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/studies/config.hpp"
#include "attention/logit_scales/policy.hpp"
#include "support/generated_text.hpp"

namespace annulus::test {
namespace {

std::string keys_of(const LogitScalePolicy& policy) {
  std::vector<std::string> keys;
  for (const auto& key : policy.keys) {
    EXPECT_FALSE(key.meaning.empty()) << policy.name << ": " << key.name;
    const auto limits = key.range.limits();
    keys.push_back(fmt::format("`{}={}`{}{}: {}", key.name, key.value, limits.empty() ? "" : ", ",
                               limits, key.meaning));
  }
  return keys.empty() ? "–" : fmt::format("{}", fmt::join(keys, "; "));
}

TEST(Documentation, LogitScales) {
  std::string text =
      "\n\n| name | β | keys with their defaults | `base` | `length` | source |\n"
      "|---|---|---|---|---|---|\n";
  for (const auto* policy : logit_scale_policies()) {
    EXPECT_FALSE(policy->description.empty() || policy->formula.empty() || policy->source.empty())
        << policy->name;
    text +=
        fmt::format("| `{}`: {} | {} | {} | `{}` | `{}` | {} |\n", policy->name,
                    policy->description, policy->formula, keys_of(*policy),
                    policy->base ? fmt::format("{}", *policy->base) : "rsqrt_d",
                    policy->length == ScaleLength::global ? "global" : "visible", policy->source);
  }
  expect_generated("docs/logit-scales.md", "logit scales", text + "\n");
  expect_generated("README.md", "logit scales",
                   fmt::format("`{}`", fmt::join(LogitScale::names(), "`, `")));
}

TEST(Documentation, KindsOfStudyAndTheirKeys) {
  std::string text;
  for (const auto& kind : studies::study_kinds()) {
    EXPECT_FALSE(kind.description.empty()) << kind.name;
    text += fmt::format(
        "\n\n## {}\n\n`kind = \"{}\"`: {}.\n\n"
        "| key | type | allowed | default | what |\n|---|---|---|---|---|",
        kind.name, kind.name, kind.description);
    for (const auto& key : kind.keys) {
      EXPECT_FALSE(key.allowed.empty() || key.meaning.empty()) << kind.name << ": " << key.name;
      text +=
          fmt::format("\n| `{}` | {} | {} | {} | {}{} |", key.name, key.type, key.allowed,
                      key.default_value.empty() ? "–" : "`" + key.default_value + "`", key.meaning,
                      key.belongs_to.empty() ? "" : " (" + key.belongs_to + " only)");
    }
  }
  expect_generated("docs/study-configs.md", "kinds of study", text + "\n\n");
}

/// "`name` (description), …"
template <class Entries, class Name>
std::string listed(const Entries& entries, Name name) {
  std::string text;
  for (const auto* entry : entries) {
    EXPECT_FALSE(entry->description.empty()) << entry->name;
    text += fmt::format("{}`{}` ({})", text.empty() ? "" : ", ", name(*entry), entry->description);
  }
  return text;
}

TEST(Documentation, Backends) {
  expect_generated("README.md", "backends",
                   listed(kernels::backends(), [](const auto& backend) { return backend.name; }));
}

TEST(Documentation, Transports) {
  expect_generated("README.md", "transports", listed(comm::transports(), [](const auto& transport) {
                     return transport.syntax();
                   }));
}

TEST(Documentation, Statistics) {
  std::string text;
  for (const auto& statistic : row_statistics()) {
    text +=
        fmt::format("{}`{}` ({})", text.empty() ? "" : ", ", statistic.name, statistic.description);
  }
  expect_generated("docs/results-format.md", "statistics", text);
}

TEST(Backends, AreRegisteredWithTheNameAndTheDeviceOfTheirKernel) {
  for (const auto* backend : kernels::backends()) {
    if (!backend->in_this_build()) continue;
    EXPECT_EQ(backend->kernel().name(), backend->name);
    EXPECT_EQ(backend->kernel().device(), backend->device);
  }
}

}  // namespace
}  // namespace annulus::test
