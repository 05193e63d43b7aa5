#include "ring/cached_queries.hpp"

#include <cstring>

#include "ring/packed_rows.hpp"

namespace annulus::ring {

GatheredQueries gather_queries(comm::Communicator& communicator, ConstTensorView q,
                               ConstTensorView row_numbers, Index first,
                               std::span<const Index> offsets, PassReport& report) {
  const auto rows_of = [&](std::size_t rank) { return offsets[rank + 1] - offsets[rank]; };
  std::vector<std::byte> own;
  if (const Index count = rows_of(static_cast<std::size_t>(communicator.rank())); count > 0) {
    append_rows(own, q, first, count);
    append_rows(own, row_numbers, first, count);
  }
  const auto parts = communicator.all_gather(own);
  report.bytes_sent += static_cast<Index>(own.size()) * (communicator.size() - 1);

  GatheredQueries all{.q = {q.type, offsets.back(), q.heads, q.dim},
                      .row_numbers = {row_numbers.type, offsets.back(), row_numbers.heads, 1}};
  auto* next_row = static_cast<std::byte*>(all.q.view().data);
  auto* next_number = static_cast<std::byte*>(all.row_numbers.view().data);
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    if (rows_of(rank) == 0) continue;
    const auto bytes = row_bytes(q.type, rows_of(rank), q.heads, q.dim);
    const auto number_bytes = parts[rank].size() - bytes;
    std::memcpy(next_row, parts[rank].data(), bytes);
    std::memcpy(next_number, parts[rank].data() + bytes, number_bytes);
    next_row += bytes;
    next_number += number_bytes;
  }
  return all;
}

}  // namespace annulus::ring
