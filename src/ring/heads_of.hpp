#pragma once
// Some heads of what is there of all.

#include <type_traits>

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

}  // namespace annulus::ring
