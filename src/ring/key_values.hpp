#pragma once
// Keys and values, or their gradients, as one: what travels together.

#include <cstddef>
#include <span>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/heads_of.hpp"
#include "ring/joined_rows.hpp"

namespace annulus::ring {

/// Of the same rows: keys (rows, G, d) and values (rows, G, d_v).
template <class Void>
struct BasicKeyValues {
  BasicTensorView<Void> keys;
  BasicTensorView<Void> values;

  operator BasicKeyValues<const void>() const requires(!std::is_const_v<Void>) {
    return {keys, values};
  }
};
using KeyValues = BasicKeyValues<void>;
using ConstKeyValues = BasicKeyValues<const void>;

/// Some heads of both.
template <class Void>
[[nodiscard]] BasicKeyValues<Void> heads_of(const BasicKeyValues<Void>& all, Interval heads) {
  return {heads_of(all.keys, heads), heads_of(all.values, heads)};
}

/// What travels is packed, so that an item is one message: keys row by row, each with its values,
/// so that items that follow each other are like one of all their rows; of gradients, which kernels
/// sum without gaps, first those of all keys and then those of all values. Views of items that are
/// in one piece; `packed` has their bytes.
[[nodiscard]] KeyValues unpacked(const Plan& plan, const ItemList& items,
                                 std::span<std::byte> packed);
[[nodiscard]] ConstKeyValues unpacked(const Plan& plan, const ItemList& items,
                                      std::span<const std::byte> packed);

/// Calls visit(whole, part) with views of the same rows, those of `part`, which has the rows `few`,
/// in `whole`, which has `all`: keys and values one after the other.
template <class Whole, class Part, class Visit>
void for_each_shared_row(const BasicKeyValues<Whole>& whole, const Rows& all,
                         const BasicKeyValues<Part>& part, const Rows& few, Visit visit) {
  for (const auto& rows : few.intervals()) {
    const Index from = all.place_of(rows.begin);
    const Index to = few.place_of(rows.begin);
    visit(rows_of(whole.keys, from, rows.size()), rows_of(part.keys, to, rows.size()));
    visit(rows_of(whole.values, from, rows.size()), rows_of(part.values, to, rows.size()));
  }
}

}  // namespace annulus::ring
