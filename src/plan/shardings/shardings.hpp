#pragma once
// The shardings, one file each.

#include "plan/shard_map.hpp"

namespace annulus::shardings {

[[nodiscard]] std::shared_ptr<const ShardMap> contiguous(std::span<const Index> offsets, int ranks,
                                                         const RowWork& work);
[[nodiscard]] std::shared_ptr<const ShardMap> zigzag(std::span<const Index> offsets, int ranks,
                                                     const RowWork& work);
[[nodiscard]] std::shared_ptr<const ShardMap> striped(std::span<const Index> offsets, int ranks,
                                                      const RowWork& work);
[[nodiscard]] std::shared_ptr<const ShardMap> balanced(std::span<const Index> offsets, int ranks,
                                                       const RowWork& work);

}  // namespace annulus::shardings
