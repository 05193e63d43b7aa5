#pragma once
// Blocks cut into pairs of a form that a library takes.

#include <span>
#include <vector>

#include "annulus/plan/block.hpp"
#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::kernels::gpu {

/// Consecutive local rows, and the mask between them.
struct Piece {
  Index query = 0;  ///< the first
  Index queries = 0;
  Index key = 0;  ///< the first
  Index keys = 0;
  PairMask mask = PairMask::full;

  friend bool operator==(const Piece&, const Piece&) = default;
};

/// At most three pieces that have every visible pair of `block` once and no other: the keys that
/// all queries see that see any, a diagonal, and what is right of it for the queries below it.
/// Throws InputError where a mask hides keys on the left, or where queries and keys of a mask have
/// positions of different strides.
[[nodiscard]] std::vector<Piece> pieces_of(const Block& block);
/// Those of all blocks.
[[nodiscard]] std::vector<Piece> pieces_of(std::span<const Block> blocks);

}  // namespace annulus::kernels::gpu
