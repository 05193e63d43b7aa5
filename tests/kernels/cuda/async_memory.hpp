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
// - It is NaN for another warp until that knows of it: has met the writer at a barrier, or waited
// for
//   a phase that the writer has arrived in since, or one that knew.

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

  void start(std::span<std::byte> shared, std::size_t warps, const Schedule& schedule,
             unsigned seed);

  void init_barrier(SharedOffset at, int arrivals, int thread);
  void fence_barriers(int thread);
  void arrive(SharedOffset at, int bytes, int warp);
  [[nodiscard]] bool is_over(SharedOffset at, int parity) const;
  /// The warp has seen that: what has come with the phases that are over is there for it, and it
  /// knows what those knew who arrived.
  void see(SharedOffset at, int warp);

  void load_tile(SharedOffset to, const kernels::gpu::TileMap& map, kernels::gpu::BoxStart start,
                 SharedOffset barrier);
  /// One tile arrives; false where none is under way.
  bool let_arrive();
  /// Some do, where the schedule is shuffled; false where none did.
  bool let_some_arrive();

  void wrote(SharedOffset at, int thread);
  void fence(int thread);
  /// What each of them knows all of them do.
  void meet(std::span<const int> warps);
  /// Whether a warp knows of what threads have written there.
  [[nodiscard]] bool is_known(SharedOffset at, int warp) const;
  /// Whether that is so of all `bytes`, and they are fenced.
  [[nodiscard]] bool may_be_read(SharedOffset at, int bytes, int warp) const;

  /// 16 bytes as a product of this warp reads them; NaN where it may not.
  [[nodiscard]] std::array<std::uint16_t, 8> chunk(std::uint32_t address, int warp) const;
  /// What is there now.
  [[nodiscard]] std::vector<float> numbers(SharedOffset at, int bytes) const;
  /// Whether a thread of this warp may read what a tile has brought.
  [[nodiscard]] bool is_seen(SharedOffset at, int warp) const;

  void check_end() const;

 private:
  /// How far what each warp has written is known: its number of arrivals and meetings by then.
  using Known = std::vector<int>;
  struct Barrier {
    int arrivals = 0;
    int expected = 0;
    Index bytes = 0;
    Index phase = 0;
    int made_by = 0;
    bool fenced = false;
    std::vector<std::size_t> tiles{};  ///< that have come to it
    Known arrived{};                   ///< in the phase that is under way
    Known over{};                      ///< in those that are over
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
    int warp = -1;    ///< that wrote last, and when
    int when = 0;
  };

  [[nodiscard]] Barrier& barrier(SharedOffset at);
  [[nodiscard]] const Barrier& barrier(SharedOffset at) const;
  void end_phase_if_over(Barrier& barrier);
  static void join(Known& to, const Known& more);
  /// What a warp knows, with all that it has written until now.
  [[nodiscard]] Known tell(int warp);
  void arrive(Tile& tile, std::size_t index);

  std::span<std::byte> shared_;
  LaneOrder order_ = LaneOrder::forward;
  std::mt19937 random_;
  std::map<SharedOffset, Barrier> barriers_;
  std::vector<Tile> tiles_;
  std::vector<std::size_t> under_way_;
  std::vector<Chunk> chunks_;
  std::map<int, std::vector<SharedOffset>> not_fenced_;  ///< chunks that a thread wrote last
  std::vector<Known> known_;                             ///< of each warp
};

}  // namespace annulus::test
