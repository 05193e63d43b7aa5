// Files of studies that something has damaged: HDF5 neither crashes nor loops on them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "annulus/results/study_file.hpp"
#include "results/scratch.hpp"
#include "results/study_sample.hpp"

namespace annulus::results {
namespace {

using ::testing::HasSubstr;

std::string contents_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string sound_file(const std::string& path) {
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
  for (Index point = 0; point < 11; ++point) file.write_point(point, sample_values(point));
  return contents_of(path);
}

/// Whether the file with these bytes is taken up; else it must be bad input.
bool is_resumed(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    const StudyFile file(path, sample_layout(), sample_provenance(), Existing::resume);
    return true;
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--output " + path));
    return false;
  }
}

TEST(DamagedStudyFile, IsBadInput) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  const auto sound = sound_file(path);
  ASSERT_TRUE(is_resumed(path, sound));
  std::mt19937 random(17);
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  int refused = 0;
  for (int trial = 0; trial < 600; ++trial) {
    SCOPED_TRACE(trial);
    auto bytes = sound;
    switch (trial % 4) {
      case 0:  // a byte
        bytes[below(bytes.size())] ^= static_cast<char>(1 + below(255));
        break;
      case 1:  // 64 of them, anywhere
        for (int i = 0; i < 64; ++i) bytes[below(bytes.size())] = static_cast<char>(below(256));
        break;
      case 2:  // a page that was never written
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() - 4096)), 4096,
                    0);
        break;
      default:
        bytes.resize(below(bytes.size()));
    }
    if (!is_resumed(path, bytes)) ++refused;
  }
  EXPECT_GT(refused, 300);
}

TEST(DamagedStudyFile, MarksThatAreNoneCostTheirPointsAlone) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  {
    StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
    for (Index point = 0; point < 30; ++point) file.write_point(point, sample_values(point));
    file.complete();
  }
  auto bytes = contents_of(path);
  const auto mask = bytes.find(std::string(30, '\1'));
  ASSERT_NE(mask, std::string::npos);
  bytes[mask + 3] = 0;
  bytes[mask + 7] = 5;
  std::ofstream(path, std::ios::binary) << bytes;
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::resume);
  for (Index point = 0; point < 30; ++point) {
    EXPECT_EQ(file.finished(point), point != 3 && point != 7) << point;
    if (!file.finished(point)) file.write_point(point, sample_values(point));
  }
  file.complete();
  EXPECT_THAT(contents_of(path), HasSubstr(std::string(30, 1)));
}

TEST(DamagedStudyFile, IsNoticedInEveryByteOfItsTexts) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  const auto sound = sound_file(path);
  const auto heap = sound.find("GCOL");
  ASSERT_NE(heap, std::string::npos);
  for (std::size_t at = heap; at < heap + 400; ++at) {
    auto bytes = sound;
    bytes[at] ^= 0x11;
    EXPECT_FALSE(is_resumed(path, bytes)) << at - heap << " bytes into the heap";
  }
}

}  // namespace
}  // namespace annulus::results
