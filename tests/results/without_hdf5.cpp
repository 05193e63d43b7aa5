#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {
namespace {

TEST(WithoutHdf5, RefusesAndSaysWhatWouldHelp) {
  try {
    StudyFile("study.h5", {}, {}, Existing::refuse);
    FAIL() << "a build without HDF5 made a study file";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "this build has no HDF5; configure with -DANNULUS_HDF5=ON");
  }
}

}  // namespace
}  // namespace annulus::results
