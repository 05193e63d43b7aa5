#include "kernels/cpu/key_panels.hpp"

#include <algorithm>
#include <utility>

namespace annulus::kernels {

std::vector<KeyPanel> panels_of(const std::vector<JoinedBlock>& blocks, Index length) {
  std::vector<KeyPanel> panels;
  for (auto block = blocks.begin(); block != blocks.end();) {
    auto keys = block->keys;
    const auto begin = block;
    for (; block != blocks.end() && block->keys.begin < keys.end; ++block) {
      keys.end = std::max(keys.end, block->keys.end);
    }
    for (Index first = keys.begin; first < keys.end; first += length) {
      KeyPanel panel{{first, std::min(first + length, keys.end)}, {}};
      for (auto part = begin; part != block; ++part) {
        const auto queries = part->queries_that_see(panel.keys);
        if (!queries.empty()) panel.parts.push_back({&*part, queries});
      }
      if (!panel.parts.empty()) panels.push_back(std::move(panel));
    }
  }
  return panels;
}

}  // namespace annulus::kernels
