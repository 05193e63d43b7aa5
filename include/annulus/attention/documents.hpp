#pragma once
// How the rows of a problem are divided into documents that do not see each other.

#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// One or more documents laid end to end. Document D holds the global query rows
/// [query_offset(D), query_offset(D + 1)) and likewise for keys. A batch is documents of equal
/// length; a packed batch is documents of any length, 0 included.
class Documents {
 public:
  /// The most documents of a batch: what each of them takes is kept on every rank.
  static constexpr Index most = Index{1} << 24;

  /// One document of `length` queries and as many keys.
  [[nodiscard]] static Documents single(Index length);
  /// One document whose queries and keys differ in number (cross attention, decode).
  [[nodiscard]] static Documents single(Index query_length, Index key_length);
  /// `count` documents of equal lengths; throws InputError for more than there may be, or whose
  /// offsets are no Index.
  [[nodiscard]] static Documents batch(Index count, Index query_length, Index key_length);
  /// Documents given by cumulated lengths: D + 1 offsets that start at 0 and never fall. Throws
  /// InputError, naming `cu_seqlens` or `cu_seqlens_k`, where they do not.
  [[nodiscard]] static Documents packed(std::vector<Index> cu_seqlens);
  [[nodiscard]] static Documents packed(std::vector<Index> cu_seqlens,
                                        std::vector<Index> cu_seqlens_k);

  [[nodiscard]] Index count() const { return static_cast<Index>(query_offsets_.size()) - 1; }
  [[nodiscard]] Index queries() const { return query_offsets_.back(); }
  [[nodiscard]] Index keys() const { return key_offsets_.back(); }
  /// Whether every document has as many queries as keys, so that both are sharded alike.
  [[nodiscard]] bool self_attention() const { return query_offsets_ == key_offsets_; }

  [[nodiscard]] Index query_offset(Index document) const { return query_offsets_[at(document)]; }
  [[nodiscard]] Index key_offset(Index document) const { return key_offsets_[at(document)]; }
  [[nodiscard]] Index query_length(Index document) const {
    return query_offset(document + 1) - query_offset(document);
  }
  [[nodiscard]] Index key_length(Index document) const {
    return key_offset(document + 1) - key_offset(document);
  }

  /// What to add to a query's row in its document to get its position in key coordinates: the last
  /// query stands where the last key stands.
  [[nodiscard]] Index alignment(Index document) const {
    return key_length(document) - query_length(document);
  }

  /// The D + 1 cumulated lengths.
  [[nodiscard]] std::span<const Index> query_offsets() const { return query_offsets_; }
  [[nodiscard]] std::span<const Index> key_offsets() const { return key_offsets_; }

  friend bool operator==(const Documents&, const Documents&) = default;

 private:
  Documents(std::vector<Index> query_offsets, std::vector<Index> key_offsets);
  static std::size_t at(Index document) { return static_cast<std::size_t>(document); }

  std::vector<Index> query_offsets_;
  std::vector<Index> key_offsets_;
};

}  // namespace annulus
