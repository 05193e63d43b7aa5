#pragma once
// Aligned memory of the cpu backend.

#include <hwy/aligned_allocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Asks for large pages for what lies whole in such. A pass has its memory from the system and
/// gives it back, and page by page of 4 KiB that takes some percent of a short one.
inline void prefer_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 2 << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (begin + page - 1) / page * page;
  const auto last = (begin + bytes) / page * page;
  if (first < last) {
    static_cast<void>(::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE));
  }
#endif
}

template <class T>
struct LargePages : std::allocator<T> {
  template <class Other>
  struct rebind {
    using other = LargePages<Other>;
  };
  [[nodiscard]] T* allocate(std::size_t count) {
    T* memory = std::allocator<T>::allocate(count);
    prefer_large_pages(memory, count * sizeof(T));
    return memory;
  }
};

/// A vector whose memory is in large pages where it may be.
template <class T>
using LargeVector = std::vector<T, LargePages<T>>;

template <class T>
using Buffer = hwy::AlignedFreeUniquePtr<T[]>;

/// `count` zeros, aligned to vectors. Throws std::bad_alloc.
template <class T>
[[nodiscard]] Buffer<T> allocate_zeros(Index count) {
  const auto size = static_cast<std::size_t>(std::max<Index>(count, 1));  // Highway refuses 0
  auto buffer = hwy::AllocateAligned<T>(size);
  if (buffer == nullptr) throw std::bad_alloc();
  prefer_large_pages(buffer.get(), size * sizeof(T));
  std::fill_n(buffer.get(), size, T());
  return buffer;
}

}  // namespace annulus::kernels
