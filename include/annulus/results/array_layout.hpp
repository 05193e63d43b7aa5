#pragma once
// The order of axes in the files of `annulus attend`.

#include <string_view>

namespace annulus::results {

/// Arrays with rows, such as /q; those without dim, such as /lse, lack the last axis.
enum class ArrayLayout {
  nhd,   ///< (n, heads, d)
  bnhd,  ///< (batch, n, heads, d)
  bhnd,  ///< (batch, heads, n, d)
};

[[nodiscard]] std::string_view name_of(ArrayLayout layout);
/// The inverse of name_of; throws InputError with the list of names.
[[nodiscard]] ArrayLayout parse_array_layout(std::string_view name);
/// The axes in words, such as "(batch, n, heads, d)".
[[nodiscard]] std::string_view axes_of(ArrayLayout layout);
[[nodiscard]] constexpr bool has_batch_axis(ArrayLayout layout) {
  return layout != ArrayLayout::nhd;
}

}  // namespace annulus::results
