// docs/study-configs.md has every kind of study with its keys.
#include <sstream>

#include <gmock/gmock.h>

#include "annulus/studies/config.hpp"
#include "support/generated_text.hpp"

namespace annulus::studies {
namespace {

TEST(Documentation, StudyKeys) {
  std::ostringstream text;
  for (const auto& kind : study_kinds()) {
    text << "\n\n## " << kind.name << "\n\nkind = \"" << kind.name << "\": " << kind.description
         << ".\n\n| key | type | allowed | default | what |\n|---|---|---|---|---|";
    for (const auto& key : kind.keys) {
      text << "\n| `" << key.name << "` | " << key.type << " | " << key.allowed << " | "
           << (key.default_value.empty() ? "–" : "`" + key.default_value + "`") << " | "
           << key.meaning
           << (key.belongs_to.empty() ? std::string() : " (" + key.belongs_to + " only)") << " |";
    }
  }
  test::expect_generated("docs/study-configs.md", "kinds of study", text.str() + "\n\n");
}

TEST(StudyKinds, DescribeEveryKey) {
  const auto kinds = study_kinds();
  ASSERT_FALSE(kinds.empty());
  for (const auto& kind : kinds) {
    EXPECT_FALSE(kind.description.empty()) << kind.name;
    EXPECT_FALSE(kind.keys.empty()) << kind.name;
    for (const auto& key : kind.keys) {
      EXPECT_FALSE(key.type.empty() || key.allowed.empty() || key.meaning.empty()) << key.name;
    }
  }
}

}  // namespace
}  // namespace annulus::studies
