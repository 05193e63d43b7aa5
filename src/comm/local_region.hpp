#pragma once
// Regions of SharedMemory within one process.

#include <cstddef>
#include <memory>
#include <new>

#include "annulus/comm/shared_memory.hpp"

namespace annulus::comm {

/// Memory for a region of `bytes`. Throws std::bad_alloc.
[[nodiscard]] inline std::shared_ptr<std::byte> make_region(Index bytes) {
  constexpr std::align_val_t line{128};
  const auto size = static_cast<std::size_t>(SharedMemory::region_bytes(bytes));
  return {static_cast<std::byte*>(::operator new(size, line)),
          [](std::byte* memory) { ::operator delete(memory, line); }};
}

}  // namespace annulus::comm
