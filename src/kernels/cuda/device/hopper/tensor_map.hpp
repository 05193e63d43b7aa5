#pragma once
// What a GPU copies tiles by: 128 bytes that say where the rows of a tensor lie and how large a
// box of them is.

#include <cstdint>

namespace annulus::kernels::gpu {

/// A CUtensorMap, which a launcher encodes from a TileMap.
struct alignas(128) TensorMap {
  std::uint64_t words[16] = {};
};

/// Where a box begins: an element, a head, and a row.
struct BoxStart {
  int element = 0;
  int head = 0;
  int row = 0;
};

}  // namespace annulus::kernels::gpu
