#include "kernels/cpu/cache_share.hpp"

#include <fmt/format.h>

#include <fstream>

namespace annulus::kernels {
namespace {

/// Cores of a list such as "0-3,8": 5.
Index cores_of_list(std::istream& list) {
  Index cores = 0;
  for (Index first = 0; list >> first; list.ignore()) {
    Index last = first;
    if (list.peek() == '-') {
      list.ignore();
      list >> last;
    }
    cores += last - first + 1;
  }
  return cores;
}

/// Bytes of a size such as "32768K".
Index bytes_of_size(std::istream& size) {
  Index number = 0;
  char unit = ' ';
  size >> number >> unit;
  switch (unit) {
    case 'K':
      return number << 10;
    case 'M':
      return number << 20;
    default:
      return number;
  }
}

}  // namespace

Index cache_share(const std::filesystem::path& caches) {
  int last_level = 0;
  Index share = 0;
  for (int index = 0;; ++index) {
    const auto cache = caches / fmt::format("index{}", index);
    int level = 0;
    if (!(std::ifstream(cache / "level") >> level)) return share;
    std::ifstream size(cache / "size");
    std::ifstream sharing(cache / "shared_cpu_list");
    const Index cores = cores_of_list(sharing);
    if (level <= last_level || cores == 0) continue;
    last_level = level;
    share = bytes_of_size(size) / cores;
  }
}

Index cache_share() {
  static const Index share = cache_share("/sys/devices/system/cpu/cpu0/cache");
  return share;
}

}  // namespace annulus::kernels
