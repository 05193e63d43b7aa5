#include "kernels/cuda/warp_products.hpp"

#include <algorithm>
#include <bit>

#include "annulus/base/error.hpp"
#include "annulus/base/half.hpp"
#include "kernels/cuda/async_memory.hpp"
#include "kernels/cuda/matrix_numbers.hpp"

namespace annulus::test {
namespace {

constexpr std::uint32_t poison = 0xffffffff;
constexpr std::uint16_t poison_word = 0xffff;
constexpr int terms = 16;
constexpr int warp_rows = 16;

/// The fields of a matrix descriptor, bit by bit.
struct Descriptor {
  std::uint32_t start;
  std::uint32_t leading;
  std::uint32_t stride;
  int swizzle;

  explicit Descriptor(std::uint64_t bits)
      : start(field(bits, 0)),
        leading(field(bits, 16)),
        stride(field(bits, 32)),
        swizzle(static_cast<int>(bits >> 62)) {
    constexpr std::uint64_t known =
        0x3fffULL | 0x3fffULL << 16 | 0x3fffULL << 32 | 7ULL << 49 | 3ULL << 62;
    ensure((bits & ~known) == 0, "a descriptor has bits that mean nothing");
    ensure((bits >> 49 & 7) == 0, "patterns of the model begin at multiples of their size");
  }

  /// Chunks of 16 bytes in a row of the pattern, and bits that are xored.
  [[nodiscard]] std::uint32_t row_chunks() const {
    constexpr std::array chunks{1U, 8U, 4U, 2U};
    return chunks[static_cast<std::size_t>(swizzle)];
  }
  [[nodiscard]] int bits() const { return std::countr_zero(row_chunks()); }

  /// Of 8 terms of a row: the chunk `half` of row i.
  [[nodiscard]] std::uint32_t terms_along(std::uint32_t i, std::uint32_t half) const {
    const std::uint32_t in_pattern = start + i % 8 * row_chunks() * 16 + i / 8 * stride;
    return AsyncMemory::swizzled(in_pattern + half * (swizzle == 0 ? leading : 16), bits());
  }
  /// Of 8 columns of a term: the chunk `eight` of term k.
  [[nodiscard]] std::uint32_t columns_along(std::uint32_t k, std::uint32_t eight) const {
    if (swizzle == 0) return start + eight * stride + k % 8 * 16 + k / 8 * leading;
    const std::uint32_t row = start + k % 8 * row_chunks() * 16 + k / 8 * stride;
    return AsyncMemory::swizzled(row + eight % row_chunks() * 16 + eight / row_chunks() * leading,
                                 bits());
  }

 private:
  static std::uint32_t field(std::uint64_t bits, int first) {
    return static_cast<std::uint32_t>(bits >> first & 0x3fff) << 4;
  }
};

/// Rows [first, first + rows) of a matrix whose terms lie along its rows, row by row.
std::vector<std::uint16_t> rows_along(std::uint64_t descriptor, int first, int rows,
                                      const AsyncMemory& memory, int warp) {
  const Descriptor matrix(descriptor);
  std::vector<std::uint16_t> words(static_cast<std::size_t>(rows * terms));
  auto next = words.begin();
  for (int i = first; i < first + rows; ++i) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      const auto at = matrix.terms_along(static_cast<std::uint32_t>(i), half);
      next = std::ranges::copy(memory.chunk(at, warp), next).out;
    }
  }
  return words;
}

/// The same where its rows lie across.
std::vector<std::uint16_t> rows_across(std::uint64_t descriptor, int first, int rows,
                                       const AsyncMemory& memory, int warp) {
  const Descriptor matrix(descriptor);
  std::vector<std::uint16_t> words(static_cast<std::size_t>(rows * terms));
  for (std::uint32_t k = 0; k < terms; ++k) {
    for (int eight = 0; eight < rows / 8; ++eight) {
      const auto chunk = memory.chunk(
          matrix.columns_along(k, static_cast<std::uint32_t>(first / 8 + eight)), warp);
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        words[(static_cast<std::size_t>(8 * eight) + i) * terms + k] = chunk[i];
      }
    }
  }
  return words;
}

/// The rows of a in shared memory that a warp computes.
std::vector<std::uint16_t> rows_of(const ProductShape& shape, const AsyncMemory& memory, int warp) {
  const auto rows = shape.a_across ? rows_across : rows_along;
  return rows(shape.a, warp % 4 * warp_rows, warp_rows, memory, warp);
}

/// All columns, term by term.
std::vector<std::uint16_t> columns_of(const ProductShape& shape, const AsyncMemory& memory,
                                      int warp) {
  const auto columns = static_cast<std::size_t>(shape.columns);
  std::vector<std::uint16_t> words(terms * columns);
  if (shape.b_across) {
    const Descriptor matrix(shape.b);
    for (std::uint32_t k = 0; k < terms; ++k) {
      for (std::uint32_t eight = 0; eight < columns / 8; ++eight) {
        std::ranges::copy(memory.chunk(matrix.columns_along(k, eight), warp),
                          words.begin() + static_cast<std::ptrdiff_t>(k * columns + 8 * eight));
      }
    }
    return words;
  }
  const auto rows = rows_along(shape.b, 0, shape.columns, memory, warp);
  transpose(columns, terms, rows.data(), words.data());
  return words;
}

/// Operand a from its fragments.
std::vector<std::uint16_t> rows_of(const WarpProducts::Registers& registers) {
  std::vector<std::uint16_t> words(warp_rows * terms);
  for (std::size_t lane = 0; lane < registers.size(); ++lane) {
    for (std::size_t r = 0; r < 4; ++r) {
      const std::size_t at = place_of_pair(lane, r);
      words[at] = static_cast<std::uint16_t>(registers[lane].a[r] & 0xffffU);
      words[at + 1] = static_cast<std::uint16_t>(registers[lane].a[r] >> 16);
    }
  }
  return words;
}

std::vector<float> floats_of(const std::vector<std::uint16_t>& words, bool is_bfloat16) {
  std::vector<float> floats(words.size());
  const auto convert_all = is_bfloat16 ? convert<BFloat16> : convert<Float16>;
  convert_all(words.data(), words.size(), floats.data());
  return floats;
}

/// What is not the same twice is NaN.
void keep_equal(std::vector<std::uint16_t>& words, const std::vector<std::uint16_t>& others) {
  std::ranges::transform(words, others, words.begin(), [](std::uint16_t one, std::uint16_t other) {
    return one == other ? one : poison_word;
  });
}

}  // namespace

std::shared_ptr<WarpProducts::Sums> WarpProducts::sums_under_way(const Registers& registers) const {
  const auto same = [&](const Product& product) {
    return product.registers[0].sums.data() == registers[0].sums.data();
  };
  for (const auto& product : open_) {
    if (same(product)) return product.sums;
  }
  for (const auto& group : groups_) {
    const auto found = std::ranges::find_if(group, same);
    if (found != group.end()) return found->sums;
  }
  return nullptr;
}

void WarpProducts::start(const ProductShape& shape, const Registers& registers,
                         const AsyncMemory& memory, int warp, ProductLog& log) {
  ensure(fenced_, "a product starts without a fence after registers were touched");
  if (started_ == log.size()) log.push_back(shape);
  ensure(log[started_++] == shape, "the warps of a warpgroup start different products");
  Product product{.shape = shape, .registers = registers, .sums = sums_under_way(registers)};
  const auto columns = static_cast<std::size_t>(shape.columns);
  if (product.sums == nullptr) {
    product.sums = std::make_shared<Sums>();
    product.sums->registers = registers;
    product.sums->values.resize(warp_rows * columns);
    for (std::size_t lane = 0; lane < registers.size(); ++lane) {
      for (std::size_t i = 0; i < registers[lane].sums.size(); ++i) {
        auto& sum = registers[lane].sums[i];
        product.sums->values[place_of_sum(lane, i, columns)] = sum;
        sum = std::bit_cast<float>(poison);
      }
    }
  }
  ensure(product.sums->registers[0].sums.size() == registers[0].sums.size(),
         "products of two shapes add to the same registers");
  ++product.sums->products;
  if (shape.a_in_registers) {
    product.a = rows_of(registers);
    for (const auto& lane : registers) std::ranges::fill(lane.a, poison);
  } else {
    product.a = rows_of(shape, memory, warp);
  }
  product.b = columns_of(shape, memory, warp);
  open_.push_back(std::move(product));
}

void WarpProducts::commit() {
  groups_.push_back(std::move(open_));
  open_.clear();
}

void WarpProducts::wait(std::size_t pending, const AsyncMemory& memory, int warp) {
  touch();
  while (groups_.size() > pending) {
    const auto group = std::move(groups_.front());
    groups_.erase(groups_.begin());
    for (const auto& product : group) finish(product, memory, warp);
  }
}

void WarpProducts::finish(const Product& product, const AsyncMemory& memory, int warp) {
  const auto& shape = product.shape;
  auto a = product.a;
  auto b = product.b;
  keep_equal(b, columns_of(shape, memory, warp));
  if (!shape.a_in_registers) {
    keep_equal(a, rows_of(shape, memory, warp));
  } else {
    for (std::size_t lane = 0; lane < product.registers.size(); ++lane) {
      for (std::size_t r = 0; r < 4; ++r) {
        auto& word = product.registers[lane].a[r];
        ensure(word == poison, "an operand in registers was written while a product reads it");
        const std::size_t at = place_of_pair(lane, r);
        word = std::uint32_t{a[at]} | std::uint32_t{a[at + 1]} << 16;
      }
    }
  }
  auto& sums = *product.sums;
  const auto columns = static_cast<std::size_t>(shape.columns);
  const auto left = floats_of(a, shape.is_bfloat16);
  const auto right = floats_of(b, shape.is_bfloat16);
  if (!shape.adds) std::ranges::fill(sums.values, 0.0F);
  add_products(warp_rows, terms, columns, left.data(), right.data(), sums.values.data());
  if (--sums.products > 0) return;
  for (std::size_t lane = 0; lane < sums.registers.size(); ++lane) {
    for (std::size_t i = 0; i < sums.registers[lane].sums.size(); ++i) {
      auto& sum = sums.registers[lane].sums[i];
      ensure(std::bit_cast<std::uint32_t>(sum) == poison,
             "sums were written while a product is under way");
      sum = sums.values[place_of_sum(lane, i, columns)];
    }
  }
}

void WarpProducts::check_end(const ProductLog& log) const {
  ensure(open_.empty() && groups_.empty(), "a warp ended before its products had");
  ensure(started_ == 0 || started_ == log.size(),
         "the warps of a warpgroup start different products");
}

}  // namespace annulus::test
