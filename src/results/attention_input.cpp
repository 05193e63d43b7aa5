#include "annulus/results/attention_input.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/results/same_file.hpp"
#include "results/dataset_storage.hpp"
#include "results/input_shape.hpp"
#include "results/row_reader.hpp"
#include "results/shared_access.hpp"

namespace annulus::results {
namespace {

/// What HDF5 converts to: rows of 16-bit types are read as fp64 and then rounded once.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, float>, float, double>;

/// Converts `elements` numbers in `bytes` to `to`, at `target`; `bytes` may be used up.
void convert(hid_t from, hid_t to, std::size_t elements, std::span<std::byte> bytes, void* target,
             const std::string& subject) {
  const h5::Lock lock;
  // HDF5 converts in place, in a buffer that holds either type.
  if (H5Tget_size(to) >= H5Tget_size(from)) {
    std::memcpy(target, bytes.data(), bytes.size());
    h5::check(H5Tconvert(from, to, elements, target, nullptr, H5P_DEFAULT), "H5Tconvert", subject);
  } else {
    h5::check(H5Tconvert(from, to, elements, bytes.data(), nullptr, H5P_DEFAULT), "H5Tconvert",
              subject);
    std::memcpy(target, bytes.data(), elements * H5Tget_size(to));
  }
}

/// The first of `elements` numbers that is not finite.
template <class T>
std::optional<Index> first_not_finite(const T* numbers, Index elements) {
  for (Index i = 0; i < elements; ++i) {
    if (!std::isfinite(static_cast<double>(numbers[i]))) return i;
  }
  return std::nullopt;
}

/// Collective. What cannot be read is bad input.
void read_together(comm::Communicator& communicator, const std::function<void()>& body) {
  comm::together(communicator, [&] {
    try {
      body();
    } catch (const InputError&) {
      throw;
    } catch (const Error& error) {
      throw InputError(error.what());
    }
  });
}

}  // namespace

struct AttentionInput::Content {
  std::string path;
  comm::Communicator& communicator;
  Options options;
  InputShape shape{};
  h5::Handle file{};

  [[nodiscard]] Tensor read(const std::string& name, const RowLayout& layout, Index heads,
                            Index dim, const Shard& shard, DataType type) const;
};

AttentionInput::AttentionInput(const std::string& path, comm::Communicator& communicator,
                               Options options)
    : content_(new Content{path, communicator, options}) {
  check_shares_files(communicator);
  auto& content = *content_;
  comm::on_root(communicator, [&] { content.shape = read_input_shape(path, options.layout); });
  broadcast(communicator, content.shape);
  check_same_file(communicator, path);
  read_together(communicator, [&] {
    const h5::Lock lock;
    content.file =
        h5::own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "H5Fopen", path);
  });
}

AttentionInput::AttentionInput(AttentionInput&&) noexcept = default;

AttentionInput::~AttentionInput() = default;

const InputShape& AttentionInput::shape() const {
  return content_->shape;
}

Tensor AttentionInput::Content::read(const std::string& name, const RowLayout& layout, Index heads,
                                     Index dim, const Shard& shard, DataType type) const {
  const std::string subject = path + ": /" + name;
  const hid_t memory_type =
      h5::native_type(with_element(type, []<class T>() { return data_type_of<Stored<T>>; }));
  Tensor tensor;
  h5::Handle dataset;
  h5::Handle file_type;
  const Index width = layout.row_elements();
  const Index plane_width = layout.plane_elements();
  const auto take = [&](Index first, Index count, std::span<std::byte> bytes) {
    with_element(type, [&]<class T>() {
      const Index elements = count * width;
      std::vector<Stored<T>> stored(static_cast<std::size_t>(elements));
      convert(file_type.get(), memory_type, stored.size(), bytes, stored.data(), subject);
      T* const target = static_cast<T*>(tensor.view().data) + first * width;
      const Stored<T>* from = stored.data();
      for (Index plane = 0; plane < layout.planes(); ++plane) {
        for (Index row = 0; row < count; ++row, from += plane_width) {
          std::transform(from, from + plane_width, target + row * width + plane * plane_width,
                         [](Stored<T> number) { return T(number); });
        }
      }
      const auto at = first_not_finite(target, elements);
      if (!at) return;
      throw InputError(
          fmt::format("{}[{}] is {} in {}; expected finite numbers", subject,
                      fmt::join(layout.index_of(shard, first + *at / width, *at % width), ", "),
                      static_cast<double>(target[*at]), name_of(type)));
    });
  };
  read_together(communicator, [&] {
    tensor = Tensor(type, row_count(shard), heads, dim);
    {
      const h5::Lock lock;
      dataset = h5::open_dataset(file.get(), name);
      file_type = h5::own(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type", subject);
      check_storage(dataset, path, subject);
    }
    annulus::results::read_rows({.dataset = dataset,
                                 .type = file_type.get(),
                                 .subject = subject,
                                 .largest_bytes = options.largest_transfer},
                                layout, shard, take);
  });
  return tensor;
}

Tensor AttentionInput::read_rows(InputRows array, const Shard& shard, DataType type) const {
  const InputShape& shape = content_->shape;
  struct Array {
    const char* name;
    std::span<const Index> offsets;
    Index heads;
    Index dim;
  };
  const auto queries = shape.documents.query_offsets();
  const auto keys = shape.documents.key_offsets();
  const Array arrays[] = {{"q", queries, shape.query_heads, shape.head_dim},
                          {"k", keys, shape.key_heads, shape.head_dim},
                          {"v", keys, shape.key_heads, shape.value_dim},
                          {"dout", queries, shape.query_heads, shape.value_dim}};
  const Array& chosen = arrays[static_cast<std::size_t>(array)];
  ensure(array != InputRows::dout || shape.has_dout, "an input is read that has no /dout");
  const RowLayout layout{{chosen.offsets.begin(), chosen.offsets.end()},
                         shape.layout,
                         {static_cast<hsize_t>(chosen.heads), static_cast<hsize_t>(chosen.dim)}};
  return content_->read(chosen.name, layout, chosen.heads, chosen.dim, shard, type);
}

std::vector<double> AttentionInput::read_logit_scale(const Shard& shard) const {
  const InputShape& shape = content_->shape;
  ensure(shape.has_logit_scale, "an input is read that has no /logit_scale");
  const Index stored = shape.logit_scale_per_head ? shape.query_heads : 1;
  const auto offsets = shape.documents.query_offsets();
  RowLayout layout{{offsets.begin(), offsets.end()}, shape.layout, {}};
  if (shape.logit_scale_per_head) layout.trailing = {static_cast<hsize_t>(stored)};
  const Tensor table = content_->read("logit_scale", layout, stored, 1, shard, DataType::float64);
  const ConstTensorView view = table.view();
  std::vector<double> scales;
  scales.reserve(static_cast<std::size_t>(view.rows * shape.query_heads));
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < shape.query_heads; ++h) {
      scales.push_back(*view.row<double>(i, shape.logit_scale_per_head ? h : 0));
    }
  }
  return scales;
}

}  // namespace annulus::results
