#include "annulus/results/study_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include <sys/stat.h>

#include "results/scratch.hpp"
#include "results/study_contents.hpp"
#include "results/study_sample.hpp"

namespace annulus::results {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(StudyFile, HoldsEveryPointAsSoonAsItIsWritten) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
  std::vector<unsigned char> finished(30, 0);
  for (const Index point : {Index{0}, Index{29}, Index{13}, Index{7}}) {
    EXPECT_FALSE(file.finished(point));
    file.write_point(point, sample_values(point));
    EXPECT_TRUE(file.finished(point));
    finished[static_cast<std::size_t>(point)] = 1;
    const auto contents = read_study(path);
    EXPECT_EQ(contents.finished, finished);
    for (std::size_t i = 0; i < 30; ++i) {
      if (finished[i] == 0) {
        EXPECT_TRUE(std::isnan(contents.entropy[i]));
        EXPECT_TRUE(std::isnan(contents.output_cosine[7 * i + 3]));
        continue;
      }
      const auto values = sample_values(static_cast<Index>(i));
      EXPECT_EQ(contents.entropy[i], values[0]);
      for (std::size_t layer = 0; layer < 7; ++layer) {
        EXPECT_EQ(contents.output_cosine[7 * i + layer], values[1 + layer]);
      }
    }
  }
  EXPECT_EQ(scratch.entries(), 1) << "temporary files stay behind";
}

TEST(StudyFile, HoldsAxesAndClosedForms) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  const auto layout = sample_layout();
  const StudyFile file(path, layout, sample_provenance(), Existing::refuse);
  EXPECT_EQ(layout.points(), 30);
  EXPECT_EQ(read_array<long long>(path, "/depth/n", H5T_NATIVE_LLONG),
            (std::vector<long long>{1021, 4093}));
  EXPECT_EQ(read_array<double>(path, "/depth/gamma", H5T_NATIVE_DOUBLE), layout.axes[2].values);
  EXPECT_EQ(read_array<double>(path, "/depth/theory/entropy", H5T_NATIVE_DOUBLE),
            layout.theory[0].values);
  EXPECT_EQ(read_array<double>(path, "/depth/theory/output_cosine", H5T_NATIVE_DOUBLE),
            layout.theory[1].values);
}

TEST(StudyFile, RefusesAFileThatExists) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  std::ofstream(path) << "precious";
  const auto message = input_error_of(
      [&] { StudyFile(path, sample_layout(), sample_provenance(), Existing::refuse); });
  EXPECT_THAT(message, AllOf(HasSubstr("--output " + path), HasSubstr("--overwrite or --resume")));
  std::ifstream stream(path);
  std::string content;
  stream >> content;
  EXPECT_EQ(content, "precious");
  StudyFile(path, sample_layout(), sample_provenance(), Existing::overwrite);
  EXPECT_EQ(read_study(path).finished, std::vector<unsigned char>(30, 0));
}

TEST(StudyFile, RefusesAPathThatCannotBeWritten) {
  const Scratch scratch;
  for (const std::string& path : {scratch / "missing/r.h5", scratch.folder().string(),
                                  std::string("/proc/r.h5"), std::string("/dev/null")}) {
    const auto message = input_error_of(
        [&] { StudyFile(path, sample_layout(), sample_provenance(), Existing::overwrite); });
    EXPECT_THAT(message, HasSubstr("--output " + path));
  }
}

TEST(StudyFile, MayHaveAPathWithoutAFolder) {
  const Scratch scratch;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(scratch.folder());
  EXPECT_NO_THROW(StudyFile("r.h5", sample_layout(), sample_provenance(), Existing::refuse));
  std::filesystem::current_path(before);
  EXPECT_EQ(read_study(scratch / "r.h5").finished.size(), 30U);
}

TEST(StudyFile, RefusesAnEmptyPath) {
  const auto message = input_error_of(
      [] { StudyFile("", sample_layout(), sample_provenance(), Existing::overwrite); });
  EXPECT_THAT(message, HasSubstr("--output"));
}

TEST(StudyFile, KeepsALinkAndWritesWhereItPoints) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "disk");
  std::ofstream(scratch / "disk/r.h5");
  std::filesystem::create_symlink(scratch / "disk/r.h5", scratch / "r.h5");
  StudyFile(scratch / "r.h5", sample_layout(), sample_provenance(), Existing::overwrite);
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "r.h5"));
  EXPECT_EQ(read_study(scratch / "disk/r.h5").finished.size(), 30U);
}

TEST(StudyFile, GetsThePermissionsOfAnyNewFile) {
  const Scratch scratch;
  const StudyFile file(scratch / "r.h5", sample_layout(), sample_provenance(), Existing::refuse);
  std::ofstream(scratch / "other");
  EXPECT_EQ(std::filesystem::status(scratch / "r.h5").permissions(),
            std::filesystem::status(scratch / "other").permissions());
}

TEST(StudyFile, RefusesWrongPoints) {
  const Scratch scratch;
  StudyFile file(scratch / "r.h5", sample_layout(), sample_provenance(), Existing::refuse);
  EXPECT_THROW(file.write_point(30, sample_values(0)), Error);
  EXPECT_THROW(file.write_point(-1, sample_values(0)), Error);
  EXPECT_THROW(file.write_point(0, std::vector<double>(7)), Error);
  EXPECT_THROW(file.write_point(0, std::vector<double>(9)), Error);
  EXPECT_THROW(file.complete(), Error) << "no point is finished";
  EXPECT_FALSE(file.finished(0));
}

}  // namespace
}  // namespace annulus::results
