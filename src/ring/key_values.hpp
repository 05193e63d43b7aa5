#pragma once
// Keys and values, or their gradients, as one: what travels together.

#include <cstddef>
#include <span>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/heads_of.hpp"

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

/// What travels is packed, all keys of an item and then all of its values, so that it is one
/// message. Views of it; `packed` has the bytes of the item.
[[nodiscard]] KeyValues unpacked(const Plan& plan, const Item& item, std::span<std::byte> packed);
[[nodiscard]] ConstKeyValues unpacked(const Plan& plan, const Item& item,
                                      std::span<const std::byte> packed);

/// Calls visit(whole, part) with views of the same rows, those of `part`, which has the rows `few`,
/// in `whole`, which has `all`: keys and values one after the other.
template <class Whole, class Part, class Visit>
void for_each_shared_row(const BasicKeyValues<Whole>& whole, const Rows& all,
                         const BasicKeyValues<Part>& part, const Rows& few, Visit visit) {
  const auto cut = [](auto view, Index first, Index count) {
    using Byte = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(view.data)>>,
                                    const std::byte, std::byte>;
    view.data = static_cast<Byte*>(view.data) +
                first * view.row_stride * static_cast<Index>(size_of(view.type));
    view.rows = count;
    return view;
  };
  for (const auto& rows : few.intervals()) {
    const Index from = all.place_of(rows.begin);
    const Index to = few.place_of(rows.begin);
    visit(cut(whole.keys, from, rows.size()), cut(part.keys, to, rows.size()));
    visit(cut(whole.values, from, rows.size()), cut(part.values, to, rows.size()));
  }
}

}  // namespace annulus::ring
