// Stands in for the whole floor in builds without HDF5.

#include "annulus/base/error.hpp"
#include "annulus/results/attention_input.hpp"
#include "annulus/results/attention_output.hpp"
#include "annulus/results/hdf5_version.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {
namespace {

[[noreturn]] void refuse() {
  throw InputError("this build has no HDF5; configure with -DANNULUS_HDF5=ON");
}

}  // namespace

std::string hdf5_version() {
  return {};
}

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
std::vector<double> StudyFile::measured(const std::string& /*name*/) const {
  refuse();
}
std::vector<std::string> StudyFile::measured_texts(const std::string& /*name*/) const {
  refuse();
}
Index StudyFile::run() const {
  refuse();
}
bool StudyFile::all_finished() const {
  refuse();
}
void StudyFile::write_point(Index /*index*/, std::span<const double> /*values*/,
                            std::span<const std::string> /*texts*/) {
  refuse();
}
void StudyFile::complete() {
  refuse();
}

std::optional<std::string> stored_config(const std::string& /*path*/) {
  refuse();
}

struct AttentionInput::Content {};
AttentionInput::AttentionInput(const std::string& /*path*/, comm::Communicator& /*communicator*/,
                               Options /*options*/) {
  refuse();
}
AttentionInput::AttentionInput(AttentionInput&&) noexcept = default;
AttentionInput::~AttentionInput() = default;
const InputShape& AttentionInput::shape() const {
  refuse();
}
Tensor AttentionInput::read_rows(InputRows /*array*/, const Shard& /*shard*/,
                                 DataType /*type*/) const {
  refuse();
}
std::vector<double> AttentionInput::read_logit_scale(const Shard& /*shard*/) const {
  refuse();
}

struct AttentionOutput::Content {};
AttentionOutput::AttentionOutput(const std::string& /*path*/, comm::Communicator& /*communicator*/,
                                 Options /*options*/) {
  refuse();
}
AttentionOutput::AttentionOutput(AttentionOutput&&) noexcept = default;
AttentionOutput::~AttentionOutput() = default;
void AttentionOutput::write_rows(const std::string& /*name*/, const Shard& /*shard*/,
                                 ConstTensorView /*rows*/) {
  refuse();
}
void AttentionOutput::write_heads(const std::string& /*name*/, std::span<const double> /*values*/) {
  refuse();
}
void AttentionOutput::commit() {
  refuse();
}

}  // namespace annulus::results
