#include "results/row_writer.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace annulus::results {
namespace {

/// Heads [head, head + heads) of the rows [first, first + count) of a view, dense.
void pack(ConstTensorView view, Index first, Index count, Index head, Index heads,
          std::byte* target) {
  const std::size_t size = size_of(view.type);
  const std::size_t head_bytes = static_cast<std::size_t>(view.dim) * size;
  const auto* const data = static_cast<const std::byte*>(view.data);
  for (Index row = first; row < first + count; ++row) {
    for (Index h = head; h < head + heads; ++h) {
      const Index at = row * view.row_stride + h * view.head_stride;
      std::memcpy(target, data + static_cast<std::size_t>(at) * size, head_bytes);
      target += head_bytes;
    }
  }
}

}  // namespace

void write_rows(const RowTarget& target, const Shard& shard, ConstTensorView rows) {
  const RowLayout& layout = target.layout;
  const Index planes = layout.planes();
  const Index row_bytes = layout.plane_elements() * static_cast<Index>(size_of(rows.type));
  const Index largest_rows = std::max(Index{1}, target.largest_bytes / row_bytes);
  std::vector<std::byte> buffer;
  Index row = 0;
  for (const auto& range : ranges_of(layout, shard, largest_rows)) {
    buffer.resize(static_cast<std::size_t>(range.count * row_bytes));
    for (Index plane = 0; plane < planes; ++plane) {
      pack(rows, row, range.count, plane * (rows.heads / planes), rows.heads / planes,
           buffer.data());
      const auto place = [&](Index in_file) {
        return target.offset + layout.place_of(range.document, plane, in_file) * row_bytes;
      };
      // Over NFS a host writes whole pages of its cache back, rows of others in them too; a lock
      // makes it fetch them first.
      const PosixFile::RangeLock lock(target.file, place(range.first),
                                      place(range.last()) + row_bytes - place(range.first));
      const Index together = range.stride == 1 ? range.count : 1;
      std::span<const std::byte> rest = buffer;
      for (Index i = 0; i < range.count; i += together) {
        const auto bytes = static_cast<std::size_t>(together * row_bytes);
        target.file.write(place(range.first + i * range.stride), rest.first(bytes));
        rest = rest.subspan(bytes);
      }
    }
    row += range.count;
  }
}

}  // namespace annulus::results
