#include "simulate/shared_arena.hpp"

#include <smpi/smpi.h>

#include <algorithm>

#include "annulus/base/error.hpp"

namespace annulus::simulate {

std::byte* SharedArena::of_size(std::size_t bytes) {
  if (bytes > size_) {
    size_ = std::max(bytes, 2 * size_);
    data_ = static_cast<std::byte*>(SMPI_SHARED_MALLOC(size_));
    ensure(data_ != nullptr, "SMPI gives shared memory");
  }
  return data_;
}

}  // namespace annulus::simulate
