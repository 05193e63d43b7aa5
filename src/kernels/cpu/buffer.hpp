#pragma once
// Aligned memory of the cpu backend.

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <new>

#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// `count` zeros, aligned to vectors. Throws std::bad_alloc.
template <class T>
[[nodiscard]] hwy::AlignedFreeUniquePtr<T[]> allocate_zeros(Index count) {
  const auto size = static_cast<std::size_t>(std::max<Index>(count, 1));  // Highway refuses 0
  auto buffer = hwy::AllocateAligned<T>(size);
  if (buffer == nullptr) throw std::bad_alloc();
  std::fill_n(buffer.get(), size, T());
  return buffer;
}

}  // namespace annulus::kernels
