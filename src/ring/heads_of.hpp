#pragma once
// Some heads of what is there of all.

#include <span>
#include <type_traits>
#include <vector>

#include "annulus/base/tensor_view.hpp"

namespace annulus::ring {

/// Some heads of a tensor.
template <class Void>
[[nodiscard]] BasicTensorView<Void> heads_of(BasicTensorView<Void> view, Interval heads) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
  view.data = static_cast<Byte*>(view.data) +
              heads.begin * view.head_stride * static_cast<Index>(size_of(view.type));
  view.heads = heads.size();
  return view;
}

/// Some heads of numbers (rows, H), row-major.
[[nodiscard]] inline std::vector<double> heads_of(std::span<const double> numbers, Index all_heads,
                                                  Interval heads) {
  std::vector<double> some;
  for (std::size_t row = 0; row < numbers.size(); row += static_cast<std::size_t>(all_heads)) {
    const auto of_row = numbers.subspan(row, static_cast<std::size_t>(all_heads));
    some.insert(some.end(), of_row.begin() + heads.begin, of_row.begin() + heads.end);
  }
  return some;
}

}  // namespace annulus::ring
