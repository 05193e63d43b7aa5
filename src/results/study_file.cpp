#include "annulus/results/study_file.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "results/config_difference.hpp"
#include "results/h5/array.hpp"
#include "results/h5/attribute.hpp"
#include "results/h5/memory_file.hpp"
#include "results/provenance_attributes.hpp"
#include "results/replacement.hpp"
#include "results/resumption.hpp"
#include "results/study_layout.hpp"

namespace annulus::results {
namespace {

std::vector<std::byte> read_bytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw InputError(fmt::format("--output {}: cannot be read", path));
  const std::vector<char> chars{std::istreambuf_iterator<char>(stream), {}};
  const auto bytes = std::as_bytes(std::span(chars));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Index StudyLayout::points() const {
  return element_count(axes_of(*this, {}));
}

struct StudyFile::Content {
  std::string path;
  StudyLayout layout;
  h5::Handle file;                 ///< in memory
  std::vector<std::uint8_t> mask;  ///< of finished points

  void create(const Provenance& provenance);
  void take_up(const Provenance& provenance);
  void read_state();
  void save() const;
  [[nodiscard]] bool all_finished() const {
    return std::find(mask.begin(), mask.end(), std::uint8_t{0}) == mask.end();
  }
  [[nodiscard]] std::size_t at(Index index) const {
    ensure(index >= 0 && index < layout.points(), "a point is outside the grid of its study");
    return static_cast<std::size_t>(index);
  }
  [[nodiscard]] h5::Slab slab_of(Index index, const std::vector<const Axis*>& axes) const;
};

void StudyFile::Content::create(const Provenance& provenance) {
  file = h5::create_memory_file(path);
  write_provenance(file.get(), provenance, time_now());
  create_layout(file.get(), layout);
  mask.assign(static_cast<std::size_t>(layout.points()), 0);
}

void StudyFile::Content::take_up(const Provenance& provenance) {
  const auto bytes = read_bytes(path);
  std::string config;
  try {
    file = h5::open_memory_file(path, bytes);
    config = h5::read_text(file.get(), "config");
  } catch (const Error& error) {
    throw InputError(
        fmt::format("--output {}: not a results file of a study, so it cannot be resumed ({})",
                    path, error.what()));
  }
  std::string difference;
  try {
    difference = config_difference(config, provenance.config);
  } catch (const Error& error) {
    throw InputError(fmt::format("--output {}: cannot be resumed: {}", path, error.what()));
  }
  if (!difference.empty()) {
    throw InputError(fmt::format("--output {} was made by another config: {}", path, difference));
  }
  difference = layout_difference(file.get(), layout);
  if (!difference.empty()) {
    throw InputError(fmt::format(
        "--output {} cannot be resumed, its layout is not this study's: {}", path, difference));
  }
  try {
    read_state();
  } catch (const Error& error) {
    throw InputError(
        fmt::format("--output {}: damaged, so it cannot be resumed ({})", path, error.what()));
  }
}

void StudyFile::Content::read_state() {
  static_cast<void>(h5::read_number(file.get(), "complete"));
  mask.resize(static_cast<std::size_t>(layout.points()));
  const std::string name = layout.group + "/" + finished_mask;
  const auto dataset = h5::open_dataset(file.get(), name);
  h5::check(H5Dread(dataset.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask.data()),
            "H5Dread", name);
}

void StudyFile::Content::save() const {
  Replacement replacement(path);
  replacement.fill(h5::image_of(file, path));
  replacement.commit();
}

h5::Slab StudyFile::Content::slab_of(Index index, const std::vector<const Axis*>& axes) const {
  const std::size_t rank = axes.size();
  h5::Slab slab{std::vector<hsize_t>(rank, 0), std::vector<hsize_t>(rank, 1),
                std::vector<hsize_t>(rank, 1)};
  for (std::size_t i = layout.axes.size(); i-- > 0;) {
    const auto length = static_cast<Index>(axes[i]->values.size());
    slab.start[i] = static_cast<hsize_t>(index % length);
    index /= length;
  }
  if (rank > layout.axes.size()) slab.count.back() = axes.back()->values.size();
  return slab;
}

StudyFile::StudyFile(const std::string& path, StudyLayout layout, Provenance provenance,
                     Existing existing)
    : content_(new Content{path, std::move(layout), {}, {}}) {
  check_output_path(path);
  std::error_code ignored;
  const bool there = std::filesystem::exists(path, ignored);
  if (there && existing == Existing::refuse) {
    throw InputError(
        fmt::format("--output {}: the file exists; pass --overwrite or --resume", path));
  }
  const h5::Lock lock;
  remove_leftovers(path);
  if (there && existing == Existing::resume) {
    content_->take_up(provenance);
    if (h5::read_number(content_->file.get(), "complete") != 0) return;
    const Replacement writable(path);  // or throws now, rather than after the first point
    // Goes to disk with the first point: a run that finishes none leaves no record.
    const auto finished = std::count(content_->mask.begin(), content_->mask.end(), 1);
    add_resumption(content_->file.get(), provenance, finished);
  } else {
    content_->create(provenance);
    content_->save();
  }
}

StudyFile::StudyFile(StudyFile&&) noexcept = default;

StudyFile::~StudyFile() = default;

bool StudyFile::finished(Index index) const {
  return content_->mask[content_->at(index)] != 0;
}

std::vector<double> StudyFile::measured(const std::string& name) const {
  const h5::Lock lock;
  const auto& layout = content_->layout;
  const auto variable = std::find_if(layout.measured.begin(), layout.measured.end(),
                                     [&](const Variable& each) { return each.name == name; });
  ensure(variable != layout.measured.end(), "a study does not measure what is asked for");
  std::vector<double> values(static_cast<std::size_t>(element_count(axes_of(layout, *variable))));
  const auto path = layout.group + "/" + name;
  const auto dataset = h5::open_dataset(content_->file.get(), path);
  h5::check(H5Dread(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            "H5Dread", path);
  return values;
}

void StudyFile::write_point(Index index, std::span<const double> values) {
  const h5::Lock lock;
  const auto& layout = content_->layout;
  const std::size_t point = content_->at(index);
  const auto write = [&](const std::string& name, const std::vector<const Axis*>& axes, hid_t type,
                         const void* data) {
    const auto path = layout.group + "/" + name;
    const auto dataset = h5::open_dataset(content_->file.get(), path);
    const auto slab = content_->slab_of(index, axes);
    const auto file_space = h5::select(dataset, slab, path);
    const hsize_t count = slab.count.back();
    const auto memory_space =
        h5::own(H5Screate_simple(1, &count, nullptr), H5Sclose, "H5Screate_simple", path);
    h5::check(
        H5Dwrite(dataset.get(), type, memory_space.get(), file_space.get(), H5P_DEFAULT, data),
        "H5Dwrite", path);
    return static_cast<std::size_t>(count);
  };
  std::size_t expected = 0;
  for (const auto& variable : layout.measured) {
    const auto axes = axes_of(layout, variable);
    expected += axes.size() > layout.axes.size() ? axes.back()->values.size() : 1;
  }
  ensure(values.size() == expected, "a point has another number of values than its study measures");
  for (const auto& variable : layout.measured) {
    const auto axes = axes_of(layout, variable);
    values = values.subspan(write(variable.name, axes, H5T_NATIVE_DOUBLE, values.data()));
  }
  constexpr std::uint8_t done = 1;
  write(finished_mask, axes_of(layout, {}), H5T_NATIVE_UINT8, &done);
  content_->save();
  content_->mask[point] = done;
}

void StudyFile::complete() {
  ensure(content_->all_finished(), "a study is called complete before all its points are finished");
  const h5::Lock lock;
  if (h5::read_number(content_->file.get(), "complete") != 0) return;
  write_completion(content_->file.get());
  content_->save();
}

}  // namespace annulus::results
