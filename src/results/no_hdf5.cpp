// Stands in for the whole floor in builds without HDF5.

#include "annulus/base/error.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {
namespace {

[[noreturn]] void refuse() {
  throw InputError("this build has no HDF5; configure with -DANNULUS_HDF5=ON");
}

}  // namespace

Index StudyLayout::points() const {
  Index count = 1;
  for (const auto& axis : axes) count *= static_cast<Index>(axis.values.size());
  return count;
}

struct StudyFile::Content {};

StudyFile::StudyFile(const std::string& /*path*/, StudyLayout /*layout*/, Provenance /*provenance*/,
                     Existing /*existing*/) {
  refuse();
}
StudyFile::StudyFile(StudyFile&&) noexcept = default;
StudyFile::~StudyFile() = default;
bool StudyFile::finished(Index /*index*/) const {
  refuse();
}
void StudyFile::write_point(Index /*index*/, std::span<const double> /*values*/) {
  refuse();
}
void StudyFile::complete() {
  refuse();
}

}  // namespace annulus::results
