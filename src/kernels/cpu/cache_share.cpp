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

constexpr auto caches_here = "/sys/devices/system/cpu/cpu0/cache";

}  // namespace

Index cache_share(const std::filesystem::path& caches, int level) {
  int found = 0;
  Index share = 0;
  for (int index = 0;; ++index) {
    const auto cache = caches / fmt::format("index{}", index);
    int of_cache = 0;
    if (!(std::ifstream(cache / "level") >> of_cache)) return share;
    std::ifstream size(cache / "size");
    std::ifstream sharing(cache / "shared_cpu_list");
    const Index cores = cores_of_list(sharing);
    if (of_cache <= found || of_cache > level || cores == 0) continue;
    found = of_cache;
    share = bytes_of_size(size) / cores;
  }
}

Index last_cache_share() {
  static const Index share = cache_share(caches_here);
  return share;
}

Index second_cache_share() {
  static const Index share = cache_share(caches_here, 2);
  return share;
}

}  // namespace annulus::kernels
