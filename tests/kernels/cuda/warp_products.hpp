#pragma once
// The asynchronous products of a model warp (wgmma), which computes 16 of the 64 rows of each.
//
// From the PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions", and CUTLASS's canonical
// layouts of descriptors:
// - Between start and wait, sums and operands in registers are NaN; a wait finds out whether
// somebody
//   has written to them.
// - Shared memory must be readable at the start and the same until the wait: it is read at both,
// and
//   what has changed is NaN.
// - Other warps get to run before a wait ends, once or where the schedule is shuffled many times.
// - A product needs a fence since the warp has last computed anything.
// - What is in no group is never waited for.
// - The four warps of a warpgroup start the same products, each at a time of its own.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::test {

class AsyncMemory;

/// What one product is, but for registers.
struct ProductShape {
  int columns = 0;
  bool a_in_registers = false;
  std::uint64_t a = 0;    ///< a descriptor, of a in shared memory
  bool a_across = false;  ///< whether rows, not terms, lie along the rows of it
  std::uint64_t b = 0;
  bool b_across = false;  ///< whether columns, not terms, lie along the rows of b
  bool adds = false;
  bool is_bfloat16 = false;

  friend bool operator==(const ProductShape&, const ProductShape&) = default;
};

/// The registers of one lane.
struct ProductRegisters {
  std::span<float> sums{};
  std::span<std::uint32_t> a{};
};

/// The products that the warps of a warpgroup have started: the first to come writes one down.
using ProductLog = std::vector<ProductShape>;

class WarpProducts {
 public:
  using Registers = std::array<ProductRegisters, 32>;

  /// Something but a product happens to registers.
  void touch() { fenced_ = false; }
  void fence() { fenced_ = true; }

  void start(const ProductShape& shape, const Registers& registers, const AsyncMemory& memory,
             int warp, ProductLog& log);
  void commit();
  void wait(std::size_t pending, const AsyncMemory& memory, int warp);

  void check_end(const ProductLog& log) const;

 private:
  using Words = std::vector<std::uint16_t>;

  /// Sums under way, of one or more products.
  struct Sums {
    Registers registers{};
    std::vector<float> values{};  ///< 16 rows of all columns
    int products = 0;
  };
  struct Product {
    ProductShape shape;
    Registers registers;
    std::shared_ptr<Sums> sums;
    Words a{};  ///< 16 rows of 16 terms
    Words b{};  ///< 16 terms of all columns
  };

  void finish(const Product& product, const AsyncMemory& memory, int warp);
  [[nodiscard]] std::shared_ptr<Sums> sums_under_way(const Registers& registers) const;

  bool fenced_ = false;
  std::size_t started_ = 0;
  std::vector<Product> open_;
  std::vector<std::vector<Product>> groups_;  ///< the oldest first
};

}  // namespace annulus::test
