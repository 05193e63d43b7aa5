#pragma once
// Memory that the ranks of one node read and write in place.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::comm {

/// One region for each rank of a node, and a tick of each rank, by which it tells the others how
/// far it has come. What a rank wrote before it announced a tick is there for whoever has waited
/// for that tick.
class SharedMemory {
 public:
  /// Where a rank's region begins; it has region_bytes(bytes), aligned to a cache line.
  struct Region {
    int rank;
    std::byte* begin;
  };

  /// Regions of ranks of which `rank` is one, whose tick is set to 0. Keeps `memory` alive. `idle`
  /// is called between two looks at a tick that has not come; it may throw to end the wait.
  SharedMemory(int rank, Index bytes, std::vector<Region> regions, std::shared_ptr<void> memory,
               std::function<void()> idle);

  /// What a region takes for `bytes` of data.
  [[nodiscard]] static Index region_bytes(Index bytes);

  /// Bytes of each region.
  [[nodiscard]] Index bytes() const { return bytes_; }
  /// The region of `rank`, a rank of this node.
  [[nodiscard]] std::span<std::byte> of(int rank) const;

  /// The last tick that this rank announced; 0 where it has announced none.
  [[nodiscard]] Index tick() const;
  /// Announces a tick larger than the last.
  void announce(Index tick);
  /// Returns once `rank` has announced `tick` or a later one. Calls `poll` meanwhile, if there is
  /// one. Throws what `poll` throws, and Error where the transport knows that `rank` has failed.
  void wait_for(int rank, Index tick, const std::function<void()>& poll) const;

 private:
  [[nodiscard]] std::byte* begin_of(int rank) const;

  int rank_;
  Index bytes_;
  std::vector<Region> regions_;
  std::shared_ptr<void> memory_;
  std::function<void()> idle_;
};

}  // namespace annulus::comm
