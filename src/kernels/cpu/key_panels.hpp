#pragma once
// The keys that a forward pass packs together, and the queries that see them.

#include <vector>

#include "kernels/cpu/joined_block.hpp"

namespace annulus::kernels {

/// Queries of a block that see some keys of a panel.
struct PanelPart {
  const JoinedBlock* block;
  Interval queries;
};

/// Keys that are packed together, and who sees them.
struct KeyPanel {
  Interval keys;
  std::vector<PanelPart> parts;
};

/// The panels of `blocks`, which they point to: at most `length` keys each. Blocks that share keys
/// meet them one after the other, so that these are packed once.
[[nodiscard]] std::vector<KeyPanel> panels_of(const std::vector<JoinedBlock>& blocks, Index length);

}  // namespace annulus::kernels
