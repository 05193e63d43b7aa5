// Texts of points, and what is known of points from the start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/results/study_file.hpp"
#include "results/scratch.hpp"
#include "results/study_sample.hpp"

namespace annulus::results {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

StudyLayout layout_with_texts() {
  return {.group = "strong",
          .axes = {{"point", {0, 1, 2}, true, "point", "1"}},
          .inner_axes = {},
          .measured = {{"verdict", "verdict", "1", "", {}, Elements::texts},
                       {"seconds", "time", "s"},
                       {"schedule", "schedule", "1", "", {}, Elements::texts}},
          .theory = {},
          .known = {{"ranks", "ranks", "1", "", {1, 2, 4}, Elements::counts},
                    {"mask",
                     "mask",
                     "1",
                     "",
                     {},
                     Elements::texts,
                     {"full", "causal", std::string(longest_text, 'x')}}}};
}

TEST(TextsOfStudies, AreThereAsSoonAsTheirPointIs) {
  const Scratch scratch;
  StudyFile file(scratch / "r.h5", layout_with_texts(), sample_provenance(), Existing::refuse);
  const std::vector<std::string> texts{"VALID", std::string(longest_text, 'y')};
  file.write_point(1, std::vector{0.5}, texts);
  EXPECT_THAT(file.measured_texts("verdict"), ElementsAre("", "VALID", ""));
  EXPECT_THAT(file.measured_texts("schedule"), ElementsAre("", texts[1], ""));
  EXPECT_THAT(file.measured("seconds"), ElementsAre(IsNan(), 0.5, IsNan()));
  EXPECT_THROW(file.write_point(0, std::vector{0.5}, std::vector{texts[0]}), Error);
  EXPECT_THROW(file.write_point(0, std::vector{0.5, 1.0}, texts), Error);
  EXPECT_THROW(file.write_point(0, std::vector{0.5},
                                std::vector{texts[0], std::string(longest_text + 1, 'z')}),
               Error);
  EXPECT_FALSE(file.finished(0));
}

TEST(TextsOfStudies, OutliveARun) {
  const Scratch scratch;
  const std::vector<std::string> texts{"VALID", "ring"};
  {
    StudyFile file(scratch / "r.h5", layout_with_texts(), sample_provenance(), Existing::refuse);
    EXPECT_EQ(file.run(), 0);
    file.write_point(1, std::vector{0.5}, texts);
  }
  for (const Index run : {1, 2}) {
    StudyFile file(scratch / "r.h5", layout_with_texts(), sample_provenance(), Existing::resume);
    EXPECT_EQ(file.run(), run);
    file.write_point(run == 1 ? 0 : 2, std::vector{1.5}, texts);
    EXPECT_EQ(file.all_finished(), run == 2);
    EXPECT_THAT(file.measured_texts("schedule"),
                ElementsAre("ring", "ring", run == 1 ? "" : "ring"));
  }
}

TEST(TextsOfStudies, AreOfAnotherStudyWhereTheirTypeIs) {
  const Scratch scratch;
  StudyFile(scratch / "r.h5", layout_with_texts(), sample_provenance(), Existing::refuse)
      .write_point(0, std::vector{0.5}, std::vector<std::string>{"VALID", "ring"});
  auto other = layout_with_texts();
  other.known[1] = {"mask", "mask", "1", "", {0, 1, 2}, Elements::counts};
  EXPECT_THAT(input_error_of([&] {
                StudyFile(scratch / "r.h5", other, sample_provenance(), Existing::resume);
              }),
              HasSubstr("mask has elements of another type"));
}

TEST(StoredConfig, IsThatOfTheFirstRun) {
  const Scratch scratch;
  EXPECT_EQ(stored_config(scratch / "r.h5"), std::nullopt);
  StudyFile(scratch / "r.h5", layout_with_texts(), sample_provenance("seed = 7\n"),
            Existing::refuse)
      .write_point(0, std::vector{0.5}, std::vector<std::string>{"VALID", "ring"});
  EXPECT_EQ(stored_config(scratch / "r.h5"), "seed = 7\n");
}

}  // namespace
}  // namespace annulus::results
