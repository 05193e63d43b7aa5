#pragma once
// Who holds which rows.

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/plan/run.hpp"

namespace annulus {

enum class Sharding {
  contiguous,  ///< the packed rows cut into P pieces
  zigzag,      ///< each document cut into 2P chunks; rank r holds chunks r and 2P-1-r
  striped,     ///< packed row i on rank i mod P
  balanced,    ///< chunks of the packed rows dealt out so that rows and work are even
};

/// The work of the rows of a run, such as the number of visible pairs.
using RowWork = std::function<Index(const Run&)>;

/// All shardings, in the order in which `auto` prefers them at equal cost.
[[nodiscard]] std::span<const Sharding> all_shardings();
[[nodiscard]] std::string_view name_of(Sharding sharding);
/// The inverse of name_of; throws InputError with the list of names.
[[nodiscard]] Sharding parse_sharding(std::string_view name);

/// The shards of all ranks for documents with the given cumulated lengths (D + 1 of them). Every
/// row is in exactly one shard; lengths need not be divisible by anything and shards may be empty.
/// `work` matters to `balanced` alone; without it, all rows are the same.
[[nodiscard]] std::vector<Shard> make_shards(Sharding sharding, std::span<const Index> offsets,
                                             int ranks, const RowWork& work = {});

}  // namespace annulus
