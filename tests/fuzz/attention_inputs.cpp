// The HDF5 file that attend reads: a sound one, changed, and perhaps damaged.
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/results/attention_input.hpp"
#include "annulus/run/attention_run.hpp"
#include "annulus/run/input_trial.hpp"
#include "fuzz/choices.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/scratch_file.hpp"
#include "results/h5/handle.hpp"

namespace annulus::fuzz {
namespace {

using results::h5::Handle;

constexpr double most_elements = 4096;  // that are written

struct Dataset {
  const char* name;
  bool is_there;
  std::vector<hsize_t> dims;
  std::vector<double> values{};  ///< the first ones; those that follow are their indices
  std::uint8_t type = 0;         ///< of the file, see type_of
  std::uint8_t filter = 0;       ///< see create
  std::uint8_t layout = 0;       ///< the attribute, see write_layout
  std::string layout_text{};

  [[nodiscard]] double elements() const {
    return std::accumulate(dims.begin(), dims.end(), 1.0, std::multiplies<>());
  }
  [[nodiscard]] std::vector<double> contents() const {
    std::vector<double> all(static_cast<std::size_t>(elements()));
    std::iota(all.begin(), all.end(), 0.0);
    std::copy_n(values.begin(), std::min(values.size(), all.size()), all.begin());
    return all;
  }
};

std::vector<Dataset> sound_file() {
  return {{"q", true, {7, 2, 3}},
          {"k", true, {7, 1, 3}},
          {"v", true, {7, 1, 2}},
          {"dout", false, {7, 2, 2}},
          {"gain", false, {2}},
          {"sink", false, {2}},
          {"logit_scale", false, {7}},
          {"cu_seqlens", false, {3}, {0, 2, 7}, 6},
          {"cu_seqlens_k", false, {3}, {0, 4, 7}, 6}};
}

Handle type_of(const Dataset& dataset) {
  const std::array known{H5T_IEEE_F64LE, H5T_IEEE_F32LE,     H5T_IEEE_F64BE,
                         H5T_IEEE_F32BE, H5T_NATIVE_LDOUBLE, H5T_C_S1,
                         H5T_STD_I64LE,  H5T_STD_I8LE,       H5T_STD_U64BE};
  Handle type(H5Tcopy(known[dataset.type % known.size()]), H5Tclose);
  // And numbers of any number of bytes.
  if (dataset.type >= 2 * known.size()) H5Tset_size(type.get(), dataset.type);
  return type;
}

void write_layout(hid_t dataset, const Dataset& description) {
  if (description.layout == 0) return;
  const bool fixed = description.layout % 3 == 1;
  const hsize_t count = description.layout / 3U;
  const Handle space(count == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr),
                     H5Sclose);
  const Handle type(H5Tcopy(description.layout % 3 == 0 ? H5T_STD_I64LE : H5T_C_S1), H5Tclose);
  if (description.layout % 3 != 0) H5Tset_size(type.get(), fixed ? 4 : H5T_VARIABLE);
  const Handle attribute(
      H5Acreate2(dataset, "layout", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* text = description.layout_text.c_str();
  if (!fixed && count == 0) H5Awrite(attribute.get(), type.get(), static_cast<const void*>(&text));
}

void create(hid_t file, const Dataset& description) {
  const auto& dims = description.dims;
  const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                     H5Sclose);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (description.filter != 0) {
    const std::vector<hsize_t> chunk(dims.size(), 1 + description.filter % 4U);
    H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
    if (description.filter & 4U) H5Pset_shuffle(creation.get());
    if (description.filter & 8U) H5Pset_deflate(creation.get(), 1);
    if (description.filter & 16U) H5Pset_fletcher32(creation.get());
    if (description.filter & 32U) H5Pset_scaleoffset(creation.get(), H5Z_SO_FLOAT_DSCALE, 3);
    if (description.filter & 64U) H5Pset_nbit(creation.get());
    if (description.filter & 128U) H5Pset_szip(creation.get(), H5_SZIP_NN_OPTION_MASK, 8);
  }
  const auto type = type_of(description);
  const Handle dataset(H5Dcreate2(file, description.name, type.get(), space.get(), H5P_DEFAULT,
                                  creation.get(), H5P_DEFAULT),
                       H5Dclose);
  write_layout(dataset.get(), description);
  // HDF5 itself does not survive some of the filters that are refused.
  constexpr unsigned refused = 32 | 64;
  if (description.elements() > most_elements || (description.filter & refused) != 0) return;
  const auto values = description.contents();
  H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
}

void write(const std::string& path, const std::vector<Dataset>& datasets, bool newest) {
  const results::h5::Lock lock;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (newest) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  ensure(file.get() >= 0, "a file can be made");
  for (const auto& dataset : datasets) {
    if (dataset.is_there) create(file.get(), dataset);
  }
}

/// What the file is and how it is read.
struct Scenario {
  std::vector<Dataset> datasets = sound_file();
  bool newest = false;
  bool is_damaged = false;
  results::AttentionInput::Options options{};
};

void change(Scenario& scenario, Choices& choices) {
  auto& dataset = scenario.datasets[choices.below(scenario.datasets.size())];
  switch (choices.below(9)) {
    case 0:
      dataset.is_there = !dataset.is_there;
      break;
    case 1:
      dataset.dims.resize(choices.below(6), 1);
      break;
    case 2:
      if (!dataset.dims.empty())
        dataset.dims[choices.below(dataset.dims.size())] = choices.number();
      break;
    case 3:
      dataset.type = choices.byte();
      break;
    case 4:
      dataset.filter = choices.byte();
      break;
    case 5:
      dataset.layout = choices.byte();
      dataset.layout_text = choices.text();
      break;
    case 6: {
      double value = 0;
      const auto bits = choices.number();
      std::memcpy(&value, &bits, sizeof value);
      dataset.values.push_back(choices.byte() % 2 == 0 ? static_cast<double>(bits) : value);
      break;
    }
    case 7:
      scenario.newest = choices.byte() % 2 != 0;
      scenario.options.largest_transfer = 1 + choices.byte();
      break;
    default: {
      constexpr std::array layouts{results::ArrayLayout::nhd, results::ArrayLayout::bnhd,
                                   results::ArrayLayout::bhnd};
      scenario.options.layout = choices.one_of(layouts);
      for (auto& each : scenario.datasets) {
        if (each.dims.size() == 3) each.dims.insert(each.dims.begin(), 1);
      }
    }
  }
}

Shard all_rows(std::span<const Index> offsets) {
  Shard shard;
  for (std::size_t document = 0; document + 1 < offsets.size(); ++document) {
    shard.push_back(
        {static_cast<Index>(document), 0, 1, offsets[document + 1] - offsets[document]});
  }
  return shard;
}

/// The numbers of a file of one document, or documents that lie in their order, in their order.
void check_rows(const Dataset& written, const Tensor& read) {
  if (written.type != 0) return;
  const auto values = written.contents();
  ensure(std::equal(values.begin(), values.end(), static_cast<const double*>(read.view().data)),
         "numbers are read as they were written");
}

void read_file(const std::string& path, const Scenario& scenario) {
  using results::InputRows;
  auto alone = comm::self();
  const results::AttentionInput input(path, alone, scenario.options);
  const auto& shape = input.shape();
  validate(run::problem_of(path, shape));
  const auto queries = all_rows(shape.documents.query_offsets());
  const auto keys = all_rows(shape.documents.key_offsets());
  const Index most = std::max(row_count(queries), row_count(keys)) *
                     std::max(shape.query_heads, shape.key_heads) *
                     std::max(shape.head_dim, shape.value_dim);
  if (static_cast<double>(most) > most_elements) return;
  const bool as_written = !scenario.is_damaged && shape.layout != results::ArrayLayout::bhnd;
  const auto read = [&](InputRows array, const Shard& shard, std::size_t dataset) {
    const auto rows = input.read_rows(array, shard, DataType::float64);
    if (as_written) check_rows(scenario.datasets[dataset], rows);
  };
  read(InputRows::q, queries, 0);
  read(InputRows::k, keys, 1);
  read(InputRows::v, keys, 2);
  if (shape.has_dout) read(InputRows::dout, queries, 3);
  if (shape.has_logit_scale) static_cast<void>(input.read_logit_scale(queries));
}

}  // namespace

void read(std::string_view text) {
  static const ScratchFile file;
  Choices choices(text);
  Scenario scenario;
  for (std::size_t changes = choices.below(8); changes > 0; --changes) change(scenario, choices);
  write(file.path(), scenario.datasets, scenario.newest);
  scenario.is_damaged = choices.left();
  if (scenario.is_damaged) {
    file.damage(choices);
    run::try_input(file.path(), scenario.options);
  }
  read_file(file.path(), scenario);
}

}  // namespace annulus::fuzz
