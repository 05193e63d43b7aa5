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

void write_first_point(const std::string& path, Existing existing) {
  StudyFile(path, sample_layout(), sample_provenance(), existing).write_point(0, sample_values(0));
}

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
  write_first_point(path, Existing::refuse);
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
  {
    const StudyFile without_points(path, sample_layout(), sample_provenance(), Existing::overwrite);
  }
  EXPECT_EQ(std::filesystem::file_size(path), 8U)
      << "a run that finishes no point leaves all as it was";
  write_first_point(path, Existing::overwrite);
  EXPECT_EQ(read_study(path).finished.front(), 1);
  EXPECT_EQ(scratch.entries(), 1);
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
  EXPECT_NO_THROW(write_first_point("r.h5", Existing::refuse));
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
  std::filesystem::create_symlink("disk/new.h5", scratch / "dangling.h5");
  std::filesystem::create_symlink("dangling.h5", scratch / "twice.h5");
  write_first_point(scratch / "r.h5", Existing::overwrite);
  write_first_point(scratch / "twice.h5", Existing::refuse);
  for (const char* link : {"r.h5", "dangling.h5", "twice.h5"}) {
    EXPECT_TRUE(std::filesystem::is_symlink(scratch / link));
  }
  for (const char* file : {"disk/r.h5", "disk/new.h5"}) {
    EXPECT_EQ(read_study(scratch / file).finished.size(), 30U);
  }
  std::filesystem::create_symlink("round.h5", scratch / "round.h5");
  EXPECT_THAT(input_error_of([&] { write_first_point(scratch / "round.h5", Existing::refuse); }),
              HasSubstr("leads nowhere"));
}

TEST(StudyFile, MayHaveANameOf255Bytes) {
  const Scratch scratch;
  for (const std::string character : {"x", "é", "深"}) {
    std::string name;
    while (name.size() + character.size() + 3 <= 255) name += character;
    write_first_point(scratch / (name + ".h5"), Existing::refuse);
    EXPECT_EQ(read_study(scratch / (name + ".h5")).finished.front(), 1);
  }
}

TEST(StudyFile, GetsThePermissionsOfAnyNewFile) {
  const Scratch scratch;
  write_first_point(scratch / "r.h5", Existing::refuse);
  std::ofstream(scratch / "other");
  EXPECT_EQ(std::filesystem::status(scratch / "r.h5").permissions(),
            std::filesystem::status(scratch / "other").permissions());
}

TEST(StudyFile, IsOneRunsAlone) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
  file.write_point(0, sample_values(0));
  const auto refusal = [&](Existing existing) {
    return input_error_of([&] { StudyFile(path, sample_layout(), sample_provenance(), existing); });
  };
  EXPECT_THAT(refusal(Existing::resume), HasSubstr("another run is writing it"));
  EXPECT_THAT(refusal(Existing::overwrite), HasSubstr("another run is writing it"));
  for (Index point = 1; point < 30; ++point) file.write_point(point, sample_values(point));
  file.complete();
  EXPECT_THAT(refusal(Existing::resume), HasSubstr("another run is writing it"));
  EXPECT_EQ(read_study(path).finished.size(), 30U) << "those who read it are let in";
}

TEST(StudyFile, DoesNotGrowOrMoveWithItsPoints) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
  const auto identity = [&] {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return std::pair(status.st_ino, status.st_size);
  };
  file.write_point(0, sample_values(0));
  const auto first = identity();
  for (Index point = 1; point < 30; ++point) file.write_point(point, sample_values(point));
  EXPECT_EQ(identity(), first) << "a point costs the bytes of a point";
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
