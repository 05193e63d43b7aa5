#include "annulus/results/study_file.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "results/config_difference.hpp"
#include "results/h5/array.hpp"
#include "results/h5/attribute.hpp"
#include "results/h5/own_file.hpp"
#include "results/provenance_attributes.hpp"
#include "results/replacement.hpp"
#include "results/resumption.hpp"
#include "results/seal.hpp"
#include "results/study_layout.hpp"

namespace annulus::results {
namespace {

bool is_complete(const h5::Handle& file) {
  return h5::read_number(file.get(), "complete") != 0;
}

std::vector<std::uint8_t> read_mask(const h5::Handle& file, const StudyLayout& layout) {
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(layout.points()));
  const std::string name = layout.group + "/" + finished_mask;
  const auto dataset = h5::open_dataset(file.get(), name);
  h5::check(H5Dread(dataset.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask.data()),
            "H5Dread", name);
  // The mask has no checksum: what is neither 0 nor 1 is damage, and its point is measured again.
  for (auto& mark : mask) mark = mark == 1;
  return mask;
}

/// Where the measured variables lie in the file, in bytes, and after them the mask.
std::vector<Index> offsets_of(const h5::Handle& file, const StudyLayout& layout) {
  std::vector<Index> offsets;
  const auto add = [&](const std::string& name) {
    const auto path = layout.group + "/" + name;
    offsets.push_back(h5::offset_of(h5::open_dataset(file.get(), path), path));
  };
  for (const auto& variable : layout.measured) add(variable.name);
  add(finished_mask);
  return offsets;
}

/// What `config` was when the file of a study was made, which is open.
std::string config_of(const h5::Handle& file) {
  return h5::read_text(file.get(), "config");
}

[[noreturn]] void refuse_damage(const std::string& path, const Error& error) {
  throw InputError(
      fmt::format("--output {}: not a results file of a study, or a damaged one, so it cannot be "
                  "resumed ({})",
                  path, error.what()));
}

PosixFile open_bytes(const std::filesystem::path& place, const std::string& path) {
  PosixFile bytes(place, O_RDONLY, fmt::format("--output {}", path));
  if (!bytes.is_open()) throw InputError(bytes.failure("read").what());
  return bytes;
}

}  // namespace

Index StudyLayout::points() const {
  return element_count(axes_of(*this, {}));
}

struct StudyFile::Content {
  std::string path;
  std::filesystem::path target;
  StudyLayout layout;
  bool there = false;   ///< whether something stands under the path when the first point comes
  PosixFile claimed{};  ///< that
  /// What is under the path from the first point on; none where all was there already.
  std::unique_ptr<Replacement> replacement{};
  std::vector<Index> offsets{};      ///< see offsets_of
  std::vector<std::uint8_t> mask{};  ///< of finished points
  Index run = 0;

  void create(const Provenance& provenance);
  void take_up(const Provenance& provenance);
  template <class Body>
  void blame_damage(const Body& body) const;
  [[nodiscard]] h5::Handle open(const Provenance& provenance) const;
  template <class Element>
  [[nodiscard]] std::vector<Element> read(const std::string& name) const;
  template <class Change>
  [[nodiscard]] std::unique_ptr<Replacement> changed(const std::filesystem::path& place,
                                                     const Change& change) const;
  [[nodiscard]] std::string subject() const { return fmt::format("--output {}", path); }
  [[nodiscard]] bool all_finished() const {
    return std::find(mask.begin(), mask.end(), std::uint8_t{0}) == mask.end();
  }
  [[nodiscard]] std::size_t at(Index index) const {
    ensure(index >= 0 && index < layout.points(), "a point is outside the grid of its study");
    return static_cast<std::size_t>(index);
  }
};

/// A file beside the path with what is in the one at `place`, changed by `change`, and sealed.
template <class Change>
std::unique_ptr<Replacement> StudyFile::Content::changed(const std::filesystem::path& place,
                                                         const Change& change) const {
  const auto bytes = open_bytes(place, path);
  auto copy = std::make_unique<Replacement>(path);
  copy->file().write(0, bytes.read(0, bytes.size()));
  auto file = h5::open_own_file(copy->temporary().string(), subject());
  change(file);
  file.close(subject());
  seal(copy->temporary().string(), copy->file(), subject());
  return copy;
}

void StudyFile::Content::create(const Provenance& provenance) {
  replacement = std::make_unique<Replacement>(path);
  const auto place = replacement->temporary().string();
  auto file = h5::create_own_file(place, subject());
  write_provenance(file.get(), provenance, time_now());
  create_layout(file.get(), layout);
  mask.assign(static_cast<std::size_t>(layout.points()), 0);
  offsets = offsets_of(file, layout);
  file.close(subject());
  seal(place, replacement->file(), subject());
}

/// The file that is there, to be read; throws InputError where it is not one of this study's.
h5::Handle StudyFile::Content::open(const Provenance& provenance) const {
  h5::Handle file;
  std::string config;
  try {
    file = open_sealed(target.string(), open_bytes(target, path), path);
    config = config_of(file);
  } catch (const Error& error) {
    refuse_damage(path, error);
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
  return file;
}

/// What HDF5 cannot make sense of in the file that is there is bad input.
template <class Body>
void StudyFile::Content::blame_damage(const Body& body) const {
  try {
    body();
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    throw InputError(
        fmt::format("--output {}: damaged, so it cannot be resumed ({})", path, error.what()));
  }
}

void StudyFile::Content::take_up(const Provenance& provenance) {
  bool complete = false;
  blame_damage([&] {
    const auto file = open(provenance);
    mask = read_mask(file, layout);
    offsets = offsets_of(file, layout);
    complete = is_complete(file) && all_finished();
    run = resumptions_of(file.get()) + 1;
  });
  if (complete) return;
  // Comes under the path with the first point: a run that finishes none leaves no record.
  const auto finished = std::count(mask.begin(), mask.end(), 1);
  replacement = changed(target, [&](const h5::Handle& file) {
    blame_damage([&] { add_resumption(file.get(), provenance, finished); });
  });
}

StudyFile::StudyFile(const std::string& path, StudyLayout layout, Provenance provenance,
                     Existing existing)
    : content_(new Content{path, output_target(path), std::move(layout)}) {
  auto& content = *content_;
  content.there = std::filesystem::exists(content.target);
  if (content.there && existing == Existing::refuse) {
    throw InputError(
        fmt::format("--output {}: the file exists; pass --overwrite or --resume", path));
  }
  content.claimed = claim_output(path, content.target);
  remove_leftovers(path);
  const h5::Lock lock;
  if (content.there && existing == Existing::resume) {
    content.take_up(provenance);
  } else {
    content.create(provenance);
  }
}

StudyFile::StudyFile(StudyFile&&) noexcept = default;

StudyFile::~StudyFile() = default;

bool StudyFile::finished(Index index) const {
  return content_->mask[content_->at(index)] != 0;
}

/// The whole array of a measured variable; texts as the bytes that they have in the file.
template <class Element>
std::vector<Element> StudyFile::Content::read(const std::string& name) const {
  const h5::Lock lock;
  const auto variable = std::ranges::find(layout.measured, name, &Variable::name);
  ensure(variable != layout.measured.end(), "a study does not measure what is asked for");
  const auto type = type_of(variable->elements);
  std::vector<Element> values(static_cast<std::size_t>(element_count(axes_of(layout, *variable))) *
                              H5Tget_size(type.get()) / sizeof(Element));
  const auto in_file = layout.group + "/" + name;
  const auto place = replacement ? replacement->place() : target;
  const auto file =
      h5::own(H5Fopen(place.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "H5Fopen", path);
  const auto dataset = h5::open_dataset(file.get(), in_file);
  h5::check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            "H5Dread", in_file);
  return values;
}

std::vector<double> StudyFile::measured(const std::string& name) const {
  return content_->read<double>(name);
}

std::vector<std::string> StudyFile::measured_texts(const std::string& name) const {
  return texts_of(content_->read<char>(name));
}

Index StudyFile::run() const {
  return content_->run;
}

bool StudyFile::all_finished() const {
  return content_->all_finished();
}

void StudyFile::write_point(Index index, std::span<const double> values,
                            std::span<const std::string> texts) {
  auto& content = *content_;
  const auto point = static_cast<Index>(content.at(index));
  ensure(content.replacement != nullptr, "a point is written to a study that is complete");
  std::vector<std::vector<std::byte>> pieces;
  for (const auto& variable : content.layout.measured) {
    pieces.push_back(take_point(content.layout, variable, values, texts));
  }
  ensure(values.empty() && texts.empty(),
         "a point has another number of values than its study measures");
  const auto& file = content.replacement->file();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    file.write(content.offsets[i] + point * static_cast<Index>(pieces[i].size()), pieces[i]);
  }
  // The mask says so only once the values are on disk.
  file.sync();
  constexpr std::uint8_t done = 1;
  file.write(content.offsets.back() + point, std::as_bytes(std::span(&done, 1)));
  if (content.replacement->committed()) {
    file.sync();
  } else {
    content.replacement->commit(content.there);
    content.claimed = PosixFile();
  }
  content.mask[static_cast<std::size_t>(point)] = done;
}

void StudyFile::complete() {
  auto& content = *content_;
  ensure(content.all_finished(), "a study is called complete before all its points are finished");
  if (!content.replacement) return;
  const h5::Lock lock;
  auto whole = content.changed(content.replacement->place(),
                               [](const h5::Handle& file) { write_completion(file.get()); });
  whole->commit();
  content.replacement = std::move(whole);
}

std::optional<std::string> stored_config(const std::string& path) {
  const auto target = output_target(path);
  if (!std::filesystem::exists(target)) return std::nullopt;
  const h5::Lock lock;
  try {
    return config_of(open_sealed(target.string(), open_bytes(target, path), path));
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    refuse_damage(path, error);
  }
}

}  // namespace annulus::results
