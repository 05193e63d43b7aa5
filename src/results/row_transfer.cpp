#include "results/row_transfer.hpp"

#include <algorithm>
#include <exception>
#include <vector>

#include "annulus/comm/agreement.hpp"

namespace annulus::results {
namespace {

/// One transfer between the selected elements of the file and as many in memory.
using Move = std::function<herr_t(hid_t memory_space, hid_t file_space, hid_t properties,
                                  Index first, Index count, std::span<std::byte> bytes)>;

void move_slab(const RowTransfer& transfer, const RowLayout& layout, const h5::Slab* slab,
               Index first, std::span<std::byte> bytes, const Move& move) {
  const auto& subject = transfer.subject;
  const h5::Lock lock;
  const auto file_space = slab != nullptr ? h5::select(transfer.dataset, *slab, subject)
                                          : h5::own(H5Dget_space(transfer.dataset.get()), H5Sclose,
                                                    "H5Dget_space", subject);
  const Index rows = slab != nullptr ? row_count(layout, *slab) : 0;
  const auto elements = static_cast<hsize_t>(rows * layout.row_elements());
  const auto memory_space =
      h5::own(H5Screate_simple(1, &elements, nullptr), H5Sclose, "H5Screate_simple", subject);
  if (slab == nullptr) {
    h5::check(H5Sselect_none(file_space.get()), "H5Sselect_none", subject);
    h5::check(H5Sselect_none(memory_space.get()), "H5Sselect_none", subject);
  }
  const auto properties = transfer.access.transfer();
  const auto size = static_cast<std::size_t>(elements) * H5Tget_size(transfer.memory_type);
  h5::check(
      move(memory_space.get(), file_space.get(), properties.get(), first, rows, bytes.first(size)),
      "transfer", subject);
  if (transfer.must_be_collective) transfer.access.check_transfer(properties, subject);
}

/// A rank that fails goes on with empty transfers, so that the others do not wait for it.
void move_pieces(const RowTransfer& transfer, const RowLayout& layout, const Shard& shard,
                 const Move& move) {
  std::vector<h5::Slab> slabs;
  std::vector<std::byte> buffer;
  comm::together(transfer.communicator, [&] {
    const h5::Lock lock;
    const auto row_bytes =
        static_cast<Index>(H5Tget_size(transfer.memory_type)) * layout.row_elements();
    slabs = slabs_of(layout, shard, std::max(Index{1}, transfer.largest_bytes / row_bytes));
    Index largest = 0;
    for (const auto& slab : slabs) largest = std::max(largest, row_count(layout, slab));
    buffer.resize(static_cast<std::size_t>(largest * row_bytes));
  });
  auto transfers = static_cast<Index>(slabs.size());
  if (transfer.access.collective()) {
    transfer.communicator.all_reduce(std::span(&transfers, 1), comm::Reduction::maximum);
  }
  std::exception_ptr failure;
  Index row = 0;
  for (Index i = 0; i < transfers; ++i) {
    const bool idle = failure != nullptr || i >= static_cast<Index>(slabs.size());
    if (idle && !transfer.access.collective()) break;
    const h5::Slab* slab = idle ? nullptr : &slabs[static_cast<std::size_t>(i)];
    try {
      move_slab(transfer, layout, slab, row, buffer, move);
    } catch (...) {
      if (failure == nullptr) failure = std::current_exception();
    }
    if (slab != nullptr) row += row_count(layout, *slab);
  }
  comm::together(transfer.communicator, [&] {
    if (failure != nullptr) std::rethrow_exception(failure);
  });
}

}  // namespace

void read_pieces(const RowTransfer& transfer, const RowLayout& layout, const Shard& shard,
                 const RowPiece& take) {
  move_pieces(transfer, layout, shard,
              [&](hid_t memory_space, hid_t file_space, hid_t properties, Index first, Index count,
                  std::span<std::byte> bytes) {
                const herr_t code = H5Dread(transfer.dataset.get(), transfer.memory_type,
                                            memory_space, file_space, properties, bytes.data());
                if (code >= 0 && count > 0) take(first, count, bytes);
                return code;
              });
}

void write_pieces(const RowTransfer& transfer, const RowLayout& layout, const Shard& shard,
                  const RowPiece& give) {
  move_pieces(transfer, layout, shard,
              [&](hid_t memory_space, hid_t file_space, hid_t properties, Index first, Index count,
                  std::span<std::byte> bytes) {
                if (count > 0) give(first, count, bytes);
                return H5Dwrite(transfer.dataset.get(), transfer.memory_type, memory_space,
                                file_space, properties, bytes.data());
              });
}

}  // namespace annulus::results
