#include "results/row_reader.hpp"

#include <algorithm>
#include <vector>

namespace annulus::results {

void read_rows(const RowSource& source, const RowLayout& layout, const Shard& shard,
               const RowPiece& take) {
  std::vector<std::byte> buffer;
  Index row = 0;
  const auto row_bytes = [&] {
    const h5::Lock lock;
    return static_cast<Index>(H5Tget_size(source.type)) * layout.row_elements();
  }();
  const Index largest_rows = std::max(Index{1}, source.largest_bytes / row_bytes);
  for (const auto& range : ranges_of(layout, shard, largest_rows)) {
    buffer.resize(static_cast<std::size_t>(range.count * row_bytes));
    {
      const h5::Lock lock;
      const auto file_space = h5::select(source.dataset, slab_of(layout, range), source.subject);
      const auto elements = static_cast<hsize_t>(range.count * layout.row_elements());
      const auto memory_space = h5::own(H5Screate_simple(1, &elements, nullptr), H5Sclose,
                                        "H5Screate_simple", source.subject);
      h5::check(H5Dread(source.dataset.get(), source.type, memory_space.get(), file_space.get(),
                        H5P_DEFAULT, buffer.data()),
                "H5Dread", source.subject);
    }
    take(row, range.count, buffer);
    row += range.count;
  }
}

}  // namespace annulus::results
