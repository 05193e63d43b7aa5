#pragma once
// A model of the tile registers of AMX, for machines that have none.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>

#include "annulus/base/index.hpp"
#include "kernels/cpu/pair_products.hpp"
#include "kernels/cpu/tile_registers.hpp"

namespace annulus::test {

/// As kernels::TileRegisters, and as unkind as the hardware: what was not loaded is not a number,
/// shapes must fit each other, and nothing outside a shape is read or written.
class ModelRegisters {
 public:
  using Register = kernels::TileRegister;

  explicit ModelRegisters(const kernels::TileShapes& shapes) : shapes_(shapes) {
    EXPECT_FALSE(std::exchange(in_use_, true)) << "registers in these shapes were not released";
    EXPECT_EQ(shapes.palette, 1);
    EXPECT_EQ(shapes.start_row, 0);
    for (const auto byte : shapes.reserved) EXPECT_EQ(byte, 0);
    for (std::size_t tile = 0; tile < shapes.rows.size(); ++tile) {
      EXPECT_EQ(shapes.rows[tile] == 0, shapes.row_bytes[tile] == 0);
      EXPECT_TRUE(tile < tiles_.size() || shapes.rows[tile] == 0) << "there are eight";
      EXPECT_LE(shapes.rows[tile], 16);
      EXPECT_LE(shapes.row_bytes[tile], 64);
    }
    for (auto& tile : tiles_) tile.fill(0xff);
  }
  ModelRegisters(const ModelRegisters&) = delete;
  ModelRegisters& operator=(const ModelRegisters&) = delete;
  ~ModelRegisters() { in_use_ = false; }

  template <Register tile>
  void zero() {
    ASSERT_GT(rows(tile), 0U) << "a tile without a shape";
    at(tile).fill(0);
  }

  template <Register tile>
  void load(const void* from, Index stride) {
    ASSERT_GT(rows(tile), 0U) << "a tile without a shape";
    at(tile).fill(0);
    for (std::size_t r = 0; r < rows(tile); ++r) {
      std::memcpy(&at(tile)[r * row_size],
                  static_cast<const std::byte*>(from) + static_cast<Index>(r) * stride,
                  shapes_.row_bytes[index(tile)]);
    }
  }

  template <Register tile>
  void store(void* to, Index stride) const {
    ASSERT_GT(rows(tile), 0U) << "a tile without a shape";
    for (std::size_t r = 0; r < rows(tile); ++r) {
      std::memcpy(static_cast<std::byte*>(to) + static_cast<Index>(r) * stride,
                  &tiles_[index(tile)][r * row_size], shapes_.row_bytes[index(tile)]);
    }
  }

  template <Register sum, Register left, Register right>
  void multiply() {
    const std::size_t pairs = shapes_.row_bytes[index(left)] / 4;
    ASSERT_EQ(rows(sum), rows(left));
    ASSERT_EQ(rows(right), pairs);
    ASSERT_EQ(shapes_.row_bytes[index(sum)], shapes_.row_bytes[index(right)]);
    add_pair_products(rows(sum), pairs, shapes_.row_bytes[index(sum)] / 4U, at(left), at(right),
                      at(sum));
  }

 private:
  static constexpr std::size_t row_size = model_row_size;
  using Tile = ModelTile;

  static std::size_t index(Register tile) { return static_cast<std::size_t>(tile); }
  [[nodiscard]] std::size_t rows(Register tile) const { return shapes_.rows[index(tile)]; }
  [[nodiscard]] Tile& at(Register tile) { return tiles_[index(tile)]; }

  static inline thread_local bool in_use_ = false;

  kernels::TileShapes shapes_;
  std::array<Tile, 8> tiles_;
};

}  // namespace annulus::test
