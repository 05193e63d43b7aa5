#pragma once
// The factors between <q, k> and logits.

#include <algorithm>
#include <optional>
#include <span>

#include "annulus/base/tensor_view.hpp"

namespace annulus::kernels {

/// z = scale <q, k>, base e, where the scale of row i and head h is a number of the row, or of the
/// row and the head, times a factor of the head, and that product is made in fp64. Borrowed.
struct LogitScales {
  ConstTensorView rows;           ///< (rows, 1, 1) or (rows, H, 1), fp64, on the device
  std::span<const double> heads;  ///< (H)
  /// What `rows` holds, row-major, where the host has it as well; or empty.
  std::span<const double> known_rows{};

  /// Whether there is one for each of so many rows and heads.
  [[nodiscard]] bool has_shape(Index row_count, Index head_count) const {
    return rows.type == DataType::float64 && std::ssize(heads) == head_count &&
           (rows.has_shape(row_count, 1, 1) || rows.has_shape(row_count, head_count, 1));
  }

  /// That of one row and head, where the host reads `rows`.
  [[nodiscard]] double at(Index row, Index head) const {
    return heads[static_cast<std::size_t>(head)] *
           *rows.row<double>(row, rows.heads == 1 ? 0 : head);
  }

  /// The one of all rows and heads, where the host knows that all numbers of rows and all factors
  /// of heads are the same; nothing otherwise.
  [[nodiscard]] std::optional<double> one() const {
    const auto differ = [](std::span<const double> numbers) {
      return std::ranges::any_of(numbers, [&](double number) { return number != numbers.front(); });
    };
    if (known_rows.empty() || heads.empty() || differ(known_rows) || differ(heads)) return {};
    return heads.front() * known_rows.front();
  }
};

}  // namespace annulus::kernels
