// Blocks cut into pairs for cuDNN: every visible pair once, and no other.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "annulus/base/error.hpp"
#include "kernels/cudnn/pieces.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::PairMask;
using kernels::gpu::Piece;
using kernels::gpu::pieces_of;
using Pairs = std::multiset<std::pair<Index, Index>>;

/// Pairs of local rows that a block sees.
Pairs seen_by(const Block& block) {
  Pairs pairs;
  for (Index i = 0; i < block.queries.count; ++i) {
    const auto visible = block.visible(i);
    for (Index j = visible.begin; j < visible.end; ++j) {
      pairs.emplace(block.queries.row + i, block.keys.row + j);
    }
  }
  return pairs;
}

Pairs covered_by(const std::vector<Piece>& pieces) {
  Pairs pairs;
  for (const auto& piece : pieces) {
    EXPECT_GT(piece.queries, 0);
    EXPECT_GT(piece.keys, 0);
    const bool causal = piece.mask == PairMask::causal;
    EXPECT_TRUE(!causal || piece.queries == piece.keys);
    for (Index i = 0; i < piece.queries; ++i) {
      for (Index j = 0; j < (causal ? i + 1 : piece.keys); ++j) {
        pairs.emplace(piece.query + i, piece.key + j);
      }
    }
  }
  return pairs;
}

TEST(CudnnPieces, EveryVisiblePairOnce) {
  std::mt19937 random(1);
  const auto up_to = [&](Index most) {
    return std::uniform_int_distribution<Index>(0, most)(random);
  };
  int cut = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const Index stride = 1 + up_to(3);
    const Block block{
        .queries = {.row = up_to(5),
                    .position = up_to(40) - 20,
                    .stride = stride,
                    .count = up_to(12)},
        .keys = {.row = up_to(5), .position = up_to(20), .stride = stride, .count = up_to(12)},
        .mask = up_to(3) == 0 ? Mask::full() : Mask::causal()};
    const auto pieces = pieces_of(block);
    EXPECT_LE(pieces.size(), 3U);
    cut += pieces.size() == 3 ? 1 : 0;
    ASSERT_EQ(covered_by(pieces), seen_by(block)) << trial;
  }
  EXPECT_GT(cut, 100);
}

TEST(CudnnPieces, WhatRanksMeetIsOnePiece) {
  const PlacedRows own{.row = 3, .position = 10, .count = 8};
  const std::vector<Piece> diagonal{
      {.query = 3, .queries = 8, .key = 3, .keys = 8, .mask = PairMask::causal}};
  EXPECT_EQ(pieces_of({own, own, Mask::causal()}), diagonal);
  const std::vector<Piece> whole{{.query = 3, .queries = 8, .key = 0, .keys = 10}};
  EXPECT_EQ(pieces_of({own, {.row = 0, .position = 0, .count = 10}, Mask::causal()}), whole);
  EXPECT_EQ(pieces_of({own, {.row = 0, .position = 18, .count = 4}, Mask::causal()}),
            std::vector<Piece>{});
}

TEST(CudnnPieces, RefusesWhatHasNoForm) {
  const PlacedRows rows{.row = 0, .position = 0, .count = 9};
  EXPECT_THROW(static_cast<void>(pieces_of({rows, rows, Mask::window(3)})), InputError);
  const PlacedRows striped{.row = 0, .position = 0, .stride = 2, .count = 5};
  EXPECT_THROW(static_cast<void>(pieces_of({rows, striped, Mask::causal()})), InputError);
  // Windows that hide nothing and strides that do not matter are taken.
  EXPECT_EQ(covered_by(pieces_of({rows, rows, Mask::window(8)})),
            seen_by({rows, rows, Mask::causal()}));
  EXPECT_EQ(pieces_of({rows, striped, Mask::full()}).size(), 1U);
}

}  // namespace
}  // namespace annulus::test
