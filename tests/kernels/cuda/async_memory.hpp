#pragma once
// Shared memory of a model block as what comes by itself sees it: barriers of arrivals and bytes,
// tiles that are under way, and what threads have written.
//
// From the PTX ISA, "mbarrier", "cp.async.bulk.tensor", "Async proxy" and "Swizzling Modes":
// - A phase is over when nobody is expected any more and no bytes are; the next begins at once.
//   Waiting for a parity ends as soon as the phase that is under way has the other one.
// - A tile is NaN until its barrier has all bytes, and remains so for warps that have not waited
// for
//   that phase themselves. Tiles arrive in any order, as late as they can, or at any time where the
//   schedule is shuffled.
// - What a thread has written is NaN for products until it has fenced it, and an error for tiles.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"
#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/device/machine.hpp"
#include "kernels/cuda/hopper_arguments.hpp"

namespace annulus::test {

class AsyncMemory {
 public:
  using SharedOffset = kernels::gpu::SharedOffset;

  /// Where shared memory begins for addresses in descriptors: not at 0.
  static constexpr std::uint32_t base = 1024;

  /// The 16 bytes at an address with bits 4 to 6 xored with bits 7 to 9, or fewer of them.
  [[nodiscard]] static std::uint32_t swizzled(std::uint32_t address, int bits);

  void start(std::span<std::byte> shared, const Schedule& schedule, unsigned seed);

  void init_barrier(SharedOffset at, int arrivals, int thread);
  void fence_barriers(int thread);
  void arrive(SharedOffset at, int bytes);
  [[nodiscard]] bool is_over(SharedOffset at, int parity) const;
  /// The warp has seen that: what has come with the phases that are over is there for it.
  void see(SharedOffset at, int warp);

  void load_tile(SharedOffset to, const kernels::gpu::TileMap& map, kernels::gpu::BoxStart start,
                 SharedOffset barrier);
  /// One tile arrives; false where none is under way.
  bool let_arrive();
  /// Some do, where the schedule is shuffled; false where none did.
  bool let_some_arrive();

  void wrote(SharedOffset at, int thread);
  void fence(int thread);

  /// 16 bytes as a product of this warp reads them; NaN where it may not.
  [[nodiscard]] std::array<std::uint16_t, 8> chunk(std::uint32_t address, int warp) const;
  /// Whether a thread of this warp may read what a tile has brought.
  [[nodiscard]] bool is_seen(SharedOffset at, int warp) const;

  void check_end() const;

 private:
  struct Barrier {
    int arrivals = 0;
    int expected = 0;
    Index bytes = 0;
    Index phase = 0;
    int made_by = 0;
    bool fenced = false;
    std::vector<std::size_t> tiles{};  ///< that have come to it
  };
  struct Tile {
    SharedOffset to = 0;
    kernels::gpu::TileMap map{};
    kernels::gpu::BoxStart start{};
    SharedOffset barrier = 0;
    bool arrived = false;
    Index phase = 0;         ///< of the barrier, when it arrived
    std::uint64_t seen = 0;  ///< warps, as bits
  };
  struct Chunk {
    int tile = -1;    ///< that came here last
    int writer = -1;  ///< thread that has written here and not fenced it
  };

  [[nodiscard]] Barrier& barrier(SharedOffset at);
  [[nodiscard]] const Barrier& barrier(SharedOffset at) const;
  void end_phase_if_over(Barrier& barrier);
  void arrive(Tile& tile, std::size_t index);

  std::span<std::byte> shared_;
  LaneOrder order_ = LaneOrder::forward;
  std::mt19937 random_;
  std::map<SharedOffset, Barrier> barriers_;
  std::vector<Tile> tiles_;
  std::vector<std::size_t> under_way_;
  std::vector<Chunk> chunks_;
};

}  // namespace annulus::test
