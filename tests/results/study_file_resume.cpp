#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "annulus/results/study_file.hpp"
#include "results/h5/attribute.hpp"
#include "results/scratch.hpp"
#include "results/study_contents.hpp"
#include "results/study_sample.hpp"

namespace annulus::results {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Root {
  explicit Root(const std::string& path)
      : file(h5::own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "H5Fopen",
                     path)) {}
  [[nodiscard]] std::string text(const std::string& name) const {
    return h5::read_text(file.get(), name);
  }
  [[nodiscard]] Index number(const std::string& name) const {
    return h5::read_number(file.get(), name);
  }
  h5::Handle file;
};

void make_file(const std::string& path, const std::string& config, Index points = 1) {
  StudyFile file(path, sample_layout(), sample_provenance(config), Existing::refuse);
  for (Index point = 0; point < points; ++point) file.write_point(point, sample_values(point));
}

TEST(StudyFileResume, TakesUpWhatIsFinished) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  make_file(path, "seed = 1", 11);
  const auto started = Root(path).text("started_at");
  EXPECT_EQ(Root(path).number("complete"), 0);
  EXPECT_EQ(Root(path).text("finished_at"), "");
  {
    auto provenance = sample_provenance("seed = 1");
    provenance.command_line = "annulus study depth.toml --output r.h5 --resume";
    StudyFile file(path, sample_layout(), provenance, Existing::resume);
    for (Index point = 0; point < 30; ++point) {
      EXPECT_EQ(file.finished(point), point < 11);
      if (point >= 11) file.write_point(point, sample_values(point));
    }
    file.complete();
  }
  const auto contents = read_study(path);
  EXPECT_EQ(contents.finished, std::vector<unsigned char>(30, 1));
  for (std::size_t i = 0; i < 30; ++i) {
    const auto values = sample_values(static_cast<Index>(i));
    EXPECT_EQ(contents.entropy[i], values[0]);
    EXPECT_EQ(contents.output_cosine[7 * i + 6], values[7]);
  }
  const Root root(path);
  EXPECT_EQ(root.text("started_at"), started);
  EXPECT_THAT(root.text("finished_at"), ::testing::MatchesRegex("....-..-..T..:..:..Z"));
  EXPECT_EQ(root.number("complete"), 1);
  EXPECT_EQ(root.text("command_line"), "annulus study depth.toml --output r.h5");
  const auto resumptions = h5::read_texts(root.file.get(), "resumptions");
  ASSERT_EQ(resumptions.size(), 1U);
  EXPECT_THAT(resumptions[0], AllOf(HasSubstr(R"("finished_points":11)"), HasSubstr("--resume"),
                                    HasSubstr(R"("hosts":["alpha","alpha","beta"])")));
}

TEST(StudyFileResume, LeavesACompleteFileAlone) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  {
    StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
    for (Index point = 0; point < 30; ++point) file.write_point(point, sample_values(point));
    file.complete();
  }
  const auto written = std::filesystem::last_write_time(path);
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::resume);
  for (Index point = 0; point < 30; ++point) EXPECT_TRUE(file.finished(point));
  file.complete();
  EXPECT_EQ(std::filesystem::last_write_time(path), written);
}

TEST(StudyFileResume, BeginsWhereThereIsNoFile) {
  const Scratch scratch;
  const StudyFile file(scratch / "r.h5", sample_layout(), sample_provenance(), Existing::resume);
  EXPECT_FALSE(file.finished(0));
}

TEST(StudyFileResume, RemovesWhatAKilledRunLeft) {
  const Scratch scratch;
  make_file(scratch / "r.h5", "seed = 1");
  std::ofstream(scratch / ".r.h5.partial-0123456789abcdef") << "half";
  std::ofstream(scratch / ".other.h5.partial-0123456789abcdef") << "another's";
  {
    const StudyFile file(scratch / "r.h5", sample_layout(), sample_provenance("seed = 1"),
                         Existing::resume);
  }
  EXPECT_EQ(scratch.entries(), 2);
  EXPECT_TRUE(std::filesystem::exists(scratch / ".other.h5.partial-0123456789abcdef"));
}

std::string resume_error(const std::string& there, const std::string& here) {
  const Scratch scratch;
  make_file(scratch / "r.h5", there);
  return input_error_of([&] {
    StudyFile(scratch / "r.h5", sample_layout(), sample_provenance(here), Existing::resume);
  });
}

TEST(StudyFileResume, NamesTheKeysThatDiffer) {
  const auto message =
      resume_error("n = [2, 3]\ngamma = 0.5\nseed = 1\nprecision = \"fp64\"\nlayers = 8",
                   "seed = 1\nn = [2, 5]\ngamma = 0.25\nprecision = \"fp32\"\nresidual = 0.5");
  EXPECT_THAT(message, AllOf(HasSubstr("r.h5 was made by another config"),
                             HasSubstr("gamma is 0.5 there and 0.25 here"),
                             HasSubstr("n[1] is 3 there and 5 here"), Not(HasSubstr("seed"))));
  EXPECT_THAT(message,
              AllOf(HasSubstr("layers is 8 there and absent here"),
                    HasSubstr("residual is absent there and 0.5 here"), HasSubstr("precision"),
                    HasSubstr("fp64"), HasSubstr("fp32"), Not(HasSubstr("\n"))));
}

TEST(StudyFileResume, SeesListsThatDifferInLength) {
  EXPECT_THAT(resume_error("n = [2, 3]", "n = [2, 3, 5]"),
              HasSubstr("n[2] is absent there and 5 here"));
  EXPECT_THAT(resume_error("measure = []", "seed = 1"),
              HasSubstr("measure is [] there and absent here"));
}

TEST(StudyFileResume, DoesNotMindOrderOrSpelling) {
  const Scratch scratch;
  make_file(scratch / "r.h5", "seed = 1\nn = [2, 3]\ngamma = {from = 0.5, to = 1.0}");
  const auto again = sample_provenance("gamma = {to = 1.0, from = 0.50}\n# words\nn=[2,3]\nseed=1");
  EXPECT_NO_THROW(StudyFile(scratch / "r.h5", sample_layout(), again, Existing::resume));
}

TEST(StudyFileResume, RefusesOtherFiles) {
  const Scratch scratch;
  const auto resume = [&] {
    StudyFile(scratch / "r.h5", sample_layout(), sample_provenance(), Existing::resume);
  };
  std::ofstream(scratch / "r.h5") << "not HDF5 at all";
  EXPECT_THAT(input_error_of(resume), HasSubstr("r.h5: not a results file"));
  std::ofstream(scratch / "r.h5", std::ios::trunc);
  EXPECT_THAT(input_error_of(resume), HasSubstr("r.h5: not a results file"));
  std::filesystem::remove(scratch / "r.h5");
  H5Fclose(H5Fcreate((scratch / "r.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  EXPECT_THAT(input_error_of(resume), HasSubstr("r.h5: not a results file"));
}

TEST(StudyFileResume, RefusesAnotherLayout) {
  const auto refused = [](const auto& change) {
    const Scratch scratch;
    make_file(scratch / "r.h5", "seed = 1");
    auto layout = sample_layout();
    change(layout);
    return input_error_of([&] {
      StudyFile(scratch / "r.h5", layout, sample_provenance("seed = 1"), Existing::resume);
    });
  };
  EXPECT_THAT(refused([](StudyLayout& layout) { layout.group = "phase"; }), HasSubstr("phase"));
  EXPECT_THAT(refused([](StudyLayout& layout) { layout.axes[1].values[0] = 0.125; }),
              HasSubstr("rho has other values"));
  EXPECT_THAT(refused([](StudyLayout& layout) { layout.axes[1].values.pop_back(); }),
              HasSubstr("rho has another length"));
  EXPECT_THAT(refused([](StudyLayout& layout) { layout.measured[0].name = "participation"; }),
              HasSubstr("participation"));
  EXPECT_THAT(refused([](StudyLayout& layout) { layout.measured[1].inner_axis = ""; }),
              HasSubstr("output_cosine has another shape"));
}

}  // namespace
}  // namespace annulus::results
