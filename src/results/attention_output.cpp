#include "annulus/results/attention_output.hpp"

#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "results/broadcast.hpp"
#include "results/h5/shared_file.hpp"
#include "results/provenance_attributes.hpp"
#include "results/replacement.hpp"
#include "results/row_transfer.hpp"

namespace annulus::results {
namespace {

/// The rows [first, first + bytes / row size) of a view, dense.
void pack(ConstTensorView view, Index first, std::span<std::byte> bytes) {
  const std::size_t size = size_of(view.type);
  const std::size_t head_bytes = static_cast<std::size_t>(view.dim) * size;
  const auto* const data = static_cast<const std::byte*>(view.data);
  for (Index row = first; !bytes.empty(); ++row) {
    for (Index head = 0; head < view.heads; ++head) {
      const Index at = row * view.row_stride + head * view.head_stride;
      std::memcpy(bytes.data(), data + static_cast<std::size_t>(at) * size, head_bytes);
      bytes = bytes.subspan(head_bytes);
    }
  }
}

}  // namespace

struct AttentionOutput::Content {
  std::string path;
  comm::Communicator& communicator;
  Options options;
  h5::Access access;
  std::string started_at = time_now();
  std::optional<Replacement> replacement{};  ///< of rank 0
  std::string temporary{};
  std::optional<h5::SharedFile> file{};  ///< closed before the replacement goes

  void create_file();
  h5::Handle create_dataset(const std::string& name, hid_t type, const RowLayout& layout);
  void write(const std::string& name, const RowLayout& layout, const Shard& shard,
             ConstTensorView rows);
  [[nodiscard]] RowLayout layout_of(RowsOf axis, std::vector<hsize_t> trailing) const;
};

AttentionOutput::AttentionOutput(const std::string& path, comm::Communicator& communicator,
                                 Options options)
    : content_(new Content{path, communicator, std::move(options), h5::Access(communicator)}) {
  ensure(content_->options.existing != Existing::resume, "attention outputs are not resumed");
  content_->create_file();
}

AttentionOutput::AttentionOutput(AttentionOutput&&) noexcept = default;

AttentionOutput::~AttentionOutput() = default;

void AttentionOutput::Content::create_file() {
  comm::on_root(communicator, [&] {
    check_output_path(path);
    std::error_code ignored;
    if (options.existing == Existing::refuse && std::filesystem::exists(path, ignored)) {
      throw InputError(fmt::format("--output {}: the file exists; pass --overwrite", path));
    }
    replacement.emplace(path);
    temporary = replacement->temporary().string();
  });
  broadcast(communicator, temporary);
  const auto open = [&](bool create) {
    const h5::Lock lock;
    const auto file_access = access.file_access();
    const hid_t id =
        create ? H5Fcreate(temporary.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, file_access.get())
               : H5Fopen(temporary.c_str(), H5F_ACC_RDWR, file_access.get());
    file.emplace(h5::own(id, H5Fclose, create ? "H5Fcreate" : "H5Fopen", temporary), access);
  };
  if (access.collective()) {
    comm::together(communicator, [&] { open(true); });
  } else {
    comm::on_root(communicator, [&] { open(true); });
    comm::together(communicator, [&] {
      if (communicator.rank() != 0) open(false);
    });
  }
}

h5::Handle AttentionOutput::Content::create_dataset(const std::string& name, hid_t type,
                                                    const RowLayout& layout) {
  const auto create = [&] {
    const h5::Lock lock;
    const auto dims = layout.dims();
    const auto space =
        h5::own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
                "H5Screate_simple", name);
    const auto links = h5::own(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "H5Pcreate", name);
    h5::check(H5Pset_create_intermediate_group(links.get(), 1), "H5Pset_create_intermediate_group",
              name);
    // Every row is written, so none has to be filled first.
    const auto creation = h5::own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate", name);
    h5::check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time", name);
    return h5::own(H5Dcreate2(file->get(), name.c_str(), type, space.get(), links.get(),
                              creation.get(), H5P_DEFAULT),
                   H5Dclose, "H5Dcreate2", name);
  };
  h5::Handle dataset;
  if (access.collective()) {
    comm::together(communicator, [&] { dataset = create(); });
  } else {
    comm::on_root(communicator, [&] { dataset = create(); });
    comm::together(communicator, [&] {
      if (communicator.rank() == 0) return;
      const h5::Lock lock;
      dataset = h5::open_dataset(file->get(), name);
    });
  }
  return dataset;
}

RowLayout AttentionOutput::Content::layout_of(RowsOf axis, std::vector<hsize_t> trailing) const {
  const auto offsets =
      axis == RowsOf::queries ? options.documents.query_offsets() : options.documents.key_offsets();
  return {{offsets.begin(), offsets.end()}, options.has_batch_axis, std::move(trailing)};
}

void AttentionOutput::Content::write(const std::string& name, const RowLayout& layout,
                                     const Shard& shard, ConstTensorView rows) {
  ensure(file.has_value(), "an output is written after its commit");
  Index written = row_count(shard);
  ensure(rows.rows == written, "a view has another number of rows than its shard");
  communicator.all_reduce(std::span(&written, 1), comm::Reduction::sum);
  ensure(written == layout.offsets.back(), "the shards of an output do not hold every row once");
  const hid_t type = h5::native_type(rows.type);
  const auto dataset = create_dataset(name, type, layout);
  write_pieces({.access = access,
                .communicator = communicator,
                .dataset = dataset,
                .memory_type = type,
                .subject = path + ": " + name,
                .must_be_collective = true,
                .largest_bytes = options.largest_transfer},
               layout, shard, [&](Index first, Index /*count*/, std::span<std::byte> bytes) {
                 pack(rows, first, bytes);
               });
}

void AttentionOutput::write_vectors(const std::string& name, RowsOf axis, const Shard& shard,
                                    ConstTensorView rows) {
  content_->write(
      name,
      content_->layout_of(axis, {static_cast<hsize_t>(rows.heads), static_cast<hsize_t>(rows.dim)}),
      shard, rows);
}

void AttentionOutput::write_scalars(const std::string& name, RowsOf axis, const Shard& shard,
                                    ConstTensorView rows) {
  ensure(rows.dim == 1, "a table of numbers per row and head has dim other than 1");
  content_->write(name, content_->layout_of(axis, {static_cast<hsize_t>(rows.heads)}), shard, rows);
}

void AttentionOutput::write_heads(const std::string& name, std::span<const double> values,
                                  DataType type) {
  const auto heads = static_cast<Index>(values.size());
  const bool writes = content_->communicator.rank() == 0 && heads > 0;
  const Shard shard = writes ? Shard{{0, 0, 1, heads}} : Shard{};
  const std::vector<float> rounded(values.begin(), values.end());
  const auto view = type == DataType::float32 ? dense_view(rounded.data(), row_count(shard), 1, 1)
                                              : dense_view(values.data(), row_count(shard), 1, 1);
  content_->write(name, {{0, heads}, false, {}}, shard, view);
}

void AttentionOutput::commit() {
  auto& content = *content_;
  ensure(content.file.has_value(), "an output is committed twice");
  comm::together(content.communicator, [&] { content.file->close(content.temporary); });
  content.file.reset();
  comm::on_root(content.communicator, [&] {
    const h5::Lock lock;
    auto file = h5::own(H5Fopen(content.temporary.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose,
                        "H5Fopen", content.temporary);
    write_provenance(file.get(), content.options.provenance, content.started_at);
    write_completion(file.get());
    file.close(content.temporary);
    content.replacement->commit(content.options.existing == Existing::overwrite);
  });
}

}  // namespace annulus::results
