#include "annulus/attention/documents.hpp"

#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "base/range.hpp"

namespace annulus {
namespace {

constexpr WholeRange<Index> counts{1, Documents::most};

void check_offsets(const std::vector<Index>& offsets, std::string_view name) {
  if (offsets.size() < 2) {
    throw InputError(
        fmt::format("{} has {} entries; expected one more than there are documents, "
                    "so at least 2",
                    name, offsets.size()));
  }
  if (offsets.front() != 0) {
    throw InputError(fmt::format("{}[0] is {}; expected 0", name, offsets.front()));
  }
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) {
      throw InputError(
          fmt::format("{}[{}] is {}, less than {} before it; expected offsets that "
                      "never fall",
                      name, i, offsets[i], offsets[i - 1]));
    }
  }
}

std::vector<Index> equal_offsets(Index count, Index length) {
  std::vector<Index> offsets(static_cast<std::size_t>(count) + 1);
  for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<Index>(i) * length;
  return offsets;
}

}  // namespace

Documents::Documents(std::vector<Index> query_offsets, std::vector<Index> key_offsets)
    : query_offsets_(std::move(query_offsets)), key_offsets_(std::move(key_offsets)) {
  if (query_offsets_.size() != key_offsets_.size()) {
    throw InputError(
        fmt::format("cu_seqlens has {} entries and cu_seqlens_k has {}; expected as "
                    "many documents of queries as of keys",
                    query_offsets_.size(), key_offsets_.size()));
  }
}

Documents Documents::single(Index length) {
  return batch(1, length, length);
}

Documents Documents::single(Index query_length, Index key_length) {
  return batch(1, query_length, key_length);
}

Documents Documents::batch(Index count, Index query_length, Index key_length) {
  if (!counts.contains(count)) {
    throw InputError(fmt::format("a batch of {} documents; expected {}", count, counts.limits()));
  }
  const WholeRange<Index> lengths{0, std::numeric_limits<Index>::max() / count};
  for (const Index length : {query_length, key_length}) {
    if (lengths.contains(length)) continue;
    throw InputError(fmt::format("a batch of {} documents of {} rows; expected {}", count, length,
                                 lengths.limits()));
  }
  return {equal_offsets(count, query_length), equal_offsets(count, key_length)};
}

Documents Documents::packed(std::vector<Index> cu_seqlens) {
  check_offsets(cu_seqlens, "cu_seqlens");
  auto keys = cu_seqlens;
  return {std::move(cu_seqlens), std::move(keys)};
}

Documents Documents::packed(std::vector<Index> cu_seqlens, std::vector<Index> cu_seqlens_k) {
  check_offsets(cu_seqlens, "cu_seqlens");
  check_offsets(cu_seqlens_k, "cu_seqlens_k");
  return {std::move(cu_seqlens), std::move(cu_seqlens_k)};
}

}  // namespace annulus
