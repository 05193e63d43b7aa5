#pragma once
// Memory that stands for all memory of all simulated ranks.

#include <cstddef>

namespace annulus::simulate {

/// One stretch of addresses, folded onto a megabyte, which SMPI knows: messages from and to it are
/// timed, and not copied.
class SharedArena {
 public:
  SharedArena() = default;
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;

  /// At least `bytes`, the same for everybody. They stay until the process ends, as addresses that
  /// were given out before there was need of more are still in use.
  [[nodiscard]] std::byte* of_size(std::size_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace annulus::simulate
