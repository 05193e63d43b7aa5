// The results file that study --resume takes up: a sound one, changed, and perhaps damaged.
#include <hdf5.h>

#include <array>
#include <string>

#include <fcntl.h>

#include "annulus/base/error.hpp"
#include "annulus/results/study_file.hpp"
#include "fuzz/choices.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/scratch_file.hpp"
#include "results/h5/attribute.hpp"
#include "results/h5/own_file.hpp"
#include "results/seal.hpp"
#include "results/study_sample.hpp"

namespace annulus::fuzz {
namespace {

namespace h5 = results::h5;

results::StudyFile open(const std::string& path, results::Existing existing) {
  return {path, results::sample_layout(), results::sample_provenance(), existing};
}

/// A file with some of its points, made once.
const std::string& sound_file(const ScratchFile& file) {
  static const std::string bytes = [&] {
    file.replace("");
    auto study = open(file.path(), results::Existing::overwrite);
    for (const Index point : {0, 1, 7}) study.write_point(point, results::sample_values(point));
    return file.contents();
  }();
  return bytes;
}

void change_attribute(hid_t file, Choices& choices) {
  constexpr std::array names{"config", "complete", "resumptions", "texts_checksum", "hosts", "new"};
  const std::string name = choices.one_of(names);
  switch (choices.below(4)) {
    case 0:
      h5::write_attribute(file, name, choices.text());
      break;
    case 1:
      h5::write_attribute(file, name, static_cast<Index>(choices.number()));
      break;
    case 2:
      h5::write_attribute(file, name, std::vector<std::string>(choices.below(5), choices.text()));
      break;
    default:
      H5Adelete(file, name.c_str());
  }
}

void change_dataset(hid_t file, Choices& choices) {
  constexpr std::array names{"depth/finished", "depth/entropy", "depth/output_cosine",
                             "depth/n",        "depth/layer",   "depth/theory/entropy",
                             "depth"};
  const char* name = choices.one_of(names);
  switch (choices.below(3)) {
    case 0:
      H5Ldelete(file, name, H5P_DEFAULT);
      break;
    case 1: {
      H5Ldelete(file, name, H5P_DEFAULT);
      std::vector<hsize_t> dims(choices.below(5));
      for (auto& dim : dims) dim = choices.number();
      const std::array types{H5T_STD_U8LE, H5T_IEEE_F64LE, H5T_STD_I64LE, H5T_C_S1};
      const h5::Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                             H5Sclose);
      const h5::Handle made(H5Dcreate2(file, name, choices.one_of(types), space.get(), H5P_DEFAULT,
                                       H5P_DEFAULT, H5P_DEFAULT),
                            H5Dclose);
      break;
    }
    default: {
      const h5::Handle mask(H5Dopen2(file, "depth/finished", H5P_DEFAULT), H5Dclose);
      const h5::Handle space(H5Dget_space(mask.get()), H5Sclose);
      std::array<std::uint8_t, 30> values{};
      for (auto& value : values) value = choices.byte();
      // An earlier change may have made another dataset of it, larger than what is written here.
      if (H5Sget_simple_extent_npoints(space.get()) == static_cast<hssize_t>(values.size())) {
        H5Dwrite(mask.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
      }
    }
  }
}

void change(const std::string& path, Choices& choices) {
  const h5::Lock lock;
  auto file = h5::open_own_file(path, path);
  for (std::size_t changes = choices.below(6); changes > 0; --changes) {
    if (choices.below(2) == 0) {
      change_attribute(file.get(), choices);
    } else {
      change_dataset(file.get(), choices);
    }
  }
  file.close(path);
  if (choices.below(4) != 0) seal(path, results::PosixFile(path, O_RDONLY, path), path);
}

void finish(results::StudyFile& study) {
  const auto points = results::sample_layout().points();
  for (Index point = 0; point < points; ++point) {
    if (!study.finished(point)) study.write_point(point, results::sample_values(point));
  }
  study.complete();
}

}  // namespace

void read(std::string_view text) {
  static const ScratchFile file;
  file.replace(sound_file(file));
  Choices choices(text);
  change(file.path(), choices);
  file.damage(choices);
  const auto before = file.contents();
  const bool taken = takes([&] {
    auto study = open(file.path(), results::Existing::resume);
    finish(study);
  });
  if (!taken) {
    ensure(file.contents() == before, "a file that is refused stays as it is");
    return;
  }
  // One that was complete already is left alone, whatever it says of its points.
  ensure(takes([&] { static_cast<void>(open(file.path(), results::Existing::resume)); }),
         "a file that was resumed can be resumed");
}

}  // namespace annulus::fuzz
