#include "annulus/results/attention_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "annulus/comm/agreement.hpp"
#include "comm/broadcast.hpp"
#include "results/h5/array.hpp"
#include "results/h5/attribute.hpp"
#include "results/h5/own_file.hpp"
#include "results/provenance_attributes.hpp"
#include "results/replacement.hpp"
#include "results/row_writer.hpp"
#include "results/shared_access.hpp"

namespace annulus::results {
struct AttentionOutput::Content {
  std::string path;
  comm::Communicator& communicator;
  Options options;
  std::vector<Index> offsets{};              ///< of the arrays, in bytes from the start of the file
  std::vector<bool> written{};               ///< likewise
  PosixFile claimed{};                       ///< of rank 0: the file that is to be overwritten
  std::optional<Replacement> replacement{};  ///< of rank 0
  /// Of the other ranks: a signal may end rank 0 before it can remove its file.
  std::optional<KnownPartialFile> of_root{};
  PosixFile file{};  ///< of every rank: where rows go

  void create_file();
  void fill_file();
  void open_file(const std::string& temporary);
  [[nodiscard]] RowLayout layout_of(const OutputArray& array) const;
  [[nodiscard]] std::size_t index_of(const std::string& name) const;
  void write(std::size_t index, const Shard& shard, ConstTensorView rows);
};

AttentionOutput::AttentionOutput(const std::string& path, comm::Communicator& communicator,
                                 Options options)
    : content_(new Content{path, communicator, std::move(options)}) {
  auto& content = *content_;
  ensure(content.options.existing != Existing::resume, "attention outputs are not resumed");
  check_shares_files(communicator);
  content.written.resize(content.options.arrays.size());
  std::string temporary;
  comm::on_root(communicator, [&] {
    content.create_file();
    temporary = content.replacement->temporary().string();
  });
  broadcast(communicator, temporary);
  if (communicator.rank() != 0) content.of_root.emplace(temporary);
  comm::on_root(communicator, [&] { content.fill_file(); });
  broadcast(communicator, content.offsets);
  comm::together(communicator, [&] { content.open_file(temporary); });
}

AttentionOutput::AttentionOutput(AttentionOutput&&) noexcept = default;

AttentionOutput::~AttentionOutput() = default;

void AttentionOutput::Content::create_file() {
  const auto target = output_target(path);
  if (options.existing == Existing::refuse && std::filesystem::exists(target)) {
    throw InputError(fmt::format("--output {}: the file exists; pass --overwrite", path));
  }
  claimed = claim_output(path, target);
  remove_leftovers(path);
  replacement.emplace(path);
}

void AttentionOutput::Content::fill_file() {
  const h5::Lock lock;
  const auto subject = fmt::format("--output {}", path);
  auto made = h5::create_own_file(replacement->temporary().string(), subject);
  write_provenance(made.get(), options.provenance, time_now());
  for (const auto& array : options.arrays) {
    const auto dims = layout_of(array).dims();
    const auto dataset = h5::create_dataset(made.get(), array.name, h5::native_type(array.type),
                                            dims, h5::Initially::undefined);
    if (array.rows != RowsOf::nothing) {
      h5::write_attribute(dataset.get(), "layout", std::string(name_of(options.layout)));
    }
    offsets.push_back(h5::offset_of(dataset, array.name));
  }
  made.close(subject);
  // The whole disk space now, so that a full disk costs no time.
  const auto& file_of_root = replacement->file();
  file_of_root.reserve(file_of_root.size());
}

void AttentionOutput::Content::open_file(const std::string& temporary) {
  const auto subject = fmt::format("--output {}", path);
  // Locks of ranges need a descriptor that reads too.
  file = PosixFile(temporary, O_RDWR, subject);
  if (file.is_open()) return;
  throw InputError(fmt::format(
      "{}: on host {} rank {} does not see the file that rank 0 has made ({}); expected a folder "
      "that all hosts share",
      subject, host_name(), communicator.rank(), std::strerror(errno)));
}

RowLayout AttentionOutput::Content::layout_of(const OutputArray& array) const {
  const auto heads = static_cast<hsize_t>(array.heads);
  if (array.rows == RowsOf::nothing) return {{0, array.heads}, ArrayLayout::nhd, {}};
  const auto offsets_of_rows = array.rows == RowsOf::queries ? options.documents.query_offsets()
                                                             : options.documents.key_offsets();
  RowLayout layout{{offsets_of_rows.begin(), offsets_of_rows.end()}, options.layout, {heads}};
  if (array.dim > 0) layout.trailing.push_back(static_cast<hsize_t>(array.dim));
  return layout;
}

std::size_t AttentionOutput::Content::index_of(const std::string& name) const {
  const auto found =
      std::ranges::find_if(options.arrays, [&](const auto& array) { return array.name == name; });
  ensure(found != options.arrays.end(), "an array is written that the output does not have");
  return static_cast<std::size_t>(found - options.arrays.begin());
}

void AttentionOutput::Content::write(std::size_t index, const Shard& shard, ConstTensorView rows) {
  const auto& array = options.arrays[index];
  auto layout = layout_of(array);
  ensure(file.is_open(), "an output is written after its commit");
  ensure(rows.type == array.type, "an output is written in another type");
  Index count = row_count(shard);
  ensure(rows.rows == count, "a view has another number of rows than its shard");
  communicator.all_reduce(std::span(&count, 1), comm::Reduction::sum);
  ensure(count == layout.offsets.back(), "the shards of an output do not hold every row once");
  comm::together(communicator, [&] {
    annulus::results::write_rows({.file = file,
                                  .offset = offsets[index],
                                  .layout = std::move(layout),
                                  .largest_bytes = options.largest_transfer},
                                 shard, rows);
  });
  written[index] = true;
}

void AttentionOutput::write_rows(const std::string& name, const Shard& shard,
                                 ConstTensorView rows) {
  const auto index = content_->index_of(name);
  const auto& array = content_->options.arrays[index];
  ensure(array.rows != RowsOf::nothing && rows.heads == array.heads &&
             rows.dim == std::max(array.dim, Index{1}),
         "rows have another shape than their array");
  content_->write(index, shard, rows);
}

void AttentionOutput::write_heads(const std::string& name, std::span<const double> values) {
  const auto index = content_->index_of(name);
  const auto& array = content_->options.arrays[index];
  ensure(array.rows == RowsOf::nothing, "heads are written to an array of rows");
  ensure(static_cast<Index>(values.size()) == array.heads, "an array has another number of heads");
  const bool writes = content_->communicator.rank() == 0 && array.heads > 0;
  const Shard shard = writes ? Shard{{0, 0, 1, array.heads}} : Shard{};
  const std::vector<float> rounded(values.begin(), values.end());
  content_->write(index, shard,
                  array.type == DataType::float32
                      ? dense_view(rounded.data(), row_count(shard), 1, 1)
                      : dense_view(values.data(), row_count(shard), 1, 1));
}

void AttentionOutput::commit() {
  auto& content = *content_;
  ensure(content.file.is_open(), "an output is committed twice");
  ensure(std::ranges::all_of(content.written, [](bool is) { return is; }),
         "an output lacks an array");
  // A host may learn of a full disk only now; and rank 0 sees what is closed here.
  comm::together(content.communicator, [&] {
    content.file.sync();
    content.file = PosixFile();
  });
  comm::on_root(content.communicator, [&] {
    const h5::Lock lock;
    const auto subject = fmt::format("--output {}", content.path);
    auto file = h5::open_own_file(content.replacement->temporary().string(), subject);
    write_completion(file.get());
    file.close(subject);
    content.replacement->commit(content.options.existing == Existing::overwrite);
  });
}

}  // namespace annulus::results
