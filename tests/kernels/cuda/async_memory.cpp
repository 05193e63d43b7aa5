#include "kernels/cuda/async_memory.hpp"

#include <algorithm>
#include <cstring>

#include "annulus/base/error.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::TileMap;

constexpr int row_bytes = 128;
constexpr int element_bytes = 2;

int box_bytes(const TileMap& map) {
  return row_bytes * map.box_heads * map.box_rows;
}

}  // namespace

std::uint32_t AsyncMemory::swizzled(std::uint32_t address, int bits) {
  const std::uint32_t mask = (1U << bits) - 1U;
  return address ^ ((address >> 7 & mask) << 4);
}

void AsyncMemory::start(std::span<std::byte> shared, std::size_t warps, const Schedule& schedule,
                        unsigned seed) {
  shared_ = shared;
  order_ = schedule.order;
  random_.seed(seed);
  barriers_.clear();
  tiles_.clear();
  under_way_.clear();
  chunks_.assign(shared.size() / 16 + 1, {});
  not_fenced_.clear();
  known_.assign(warps, Known(warps, 0));
  for (std::size_t warp = 0; warp < warps; ++warp) known_[warp][warp] = 1;
}

AsyncMemory::Barrier& AsyncMemory::barrier(SharedOffset at) {
  const auto found = barriers_.find(at);
  ensure(found != barriers_.end() && found->second.fenced,
         "a barrier is used before it has been made and fenced");
  return found->second;
}

const AsyncMemory::Barrier& AsyncMemory::barrier(SharedOffset at) const {
  return const_cast<AsyncMemory*>(this)->barrier(at);
}

void AsyncMemory::init_barrier(SharedOffset at, int arrivals, int thread) {
  ensure(at % 8 == 0 && at + std::size_t{8} <= shared_.size(),
         "a barrier has 8 bytes of shared memory");
  ensure(arrivals >= 1 && !barriers_.contains(at), "a barrier is made once, of some arrivals");
  barriers_[at] = {.arrivals = arrivals, .expected = arrivals, .made_by = thread};
}

void AsyncMemory::fence_barriers(int thread) {
  for (auto& [at, barrier] : barriers_) {
    if (barrier.made_by == thread) barrier.fenced = true;
  }
}

void AsyncMemory::end_phase_if_over(Barrier& barrier) {
  if (barrier.expected > 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.expected = barrier.arrivals;
  join(barrier.over, barrier.arrived);
}

void AsyncMemory::join(Known& to, const Known& more) {
  to.resize(std::max(to.size(), more.size()));
  std::ranges::transform(more, to, to.begin(),
                         [](int one, int other) { return std::max(one, other); });
}

AsyncMemory::Known AsyncMemory::tell(int warp) {
  auto& own = known_[static_cast<std::size_t>(warp)];
  auto told = own;
  ++own[static_cast<std::size_t>(warp)];
  return told;
}

void AsyncMemory::arrive(SharedOffset at, int bytes, int warp) {
  auto& here = barrier(at);
  ensure(here.expected > 0, "more arrive at a barrier than a phase has");
  ensure(bytes >= 0 && bytes < 1 << 20, "a barrier counts up to 2^20 - 1 bytes");
  join(here.arrived, tell(warp));
  here.bytes += bytes;
  --here.expected;
  end_phase_if_over(here);
}

bool AsyncMemory::is_over(SharedOffset at, int parity) const {
  ensure(parity == 0 || parity == 1, "a parity is 0 or 1");
  return barrier(at).phase % 2 != parity;
}

void AsyncMemory::see(SharedOffset at, int warp) {
  const auto& here = barrier(at);
  for (const auto index : here.tiles) {
    if (tiles_[index].phase < here.phase) tiles_[index].seen |= std::uint64_t{1} << warp;
  }
  join(known_[static_cast<std::size_t>(warp)], here.over);
}

void AsyncMemory::load_tile(SharedOffset to, const TileMap& map, kernels::gpu::BoxStart start,
                            SharedOffset at) {
  static_cast<void>(barrier(at));
  const auto bytes = static_cast<std::size_t>(box_bytes(map));
  ensure(to % 128 == 0, "a tile begins at a multiple of 128 bytes");
  ensure(to + bytes <= shared_.size(), "a tile lies outside shared memory");
  for (const auto& [place, _] : barriers_) {
    ensure(place + std::size_t{8} <= to || place >= to + bytes, "a tile lies over a barrier");
  }
  const auto index = tiles_.size();
  for (std::size_t chunk = to / 16; chunk < (to + bytes) / 16; ++chunk) {
    auto& here = chunks_[chunk];
    ensure(here.writer < 0, "a tile comes where a thread has written without a fence");
    ensure(here.tile < 0 || tiles_[static_cast<std::size_t>(here.tile)].arrived,
           "two tiles are under way to one place");
    here.tile = static_cast<int>(index);
    here.warp = -1;
  }
  std::ranges::fill(shared_.subspan(to, bytes), std::byte{0xff});
  tiles_.push_back({.to = to, .map = map, .start = start, .barrier = at});
  under_way_.push_back(index);
}

/// Rows of a box end to end, and every chunk where the swizzle of 128 bytes puts it.
void AsyncMemory::arrive(Tile& tile, std::size_t index) {
  const auto& map = tile.map;
  const auto* data = static_cast<const std::byte*>(map.data);
  for (int z = 0; z < map.box_rows; ++z) {
    for (int y = 0; y < map.box_heads; ++y) {
      for (int x = 0; x < row_bytes / element_bytes; ++x) {
        const Index element = tile.start.element + x;
        const Index head = tile.start.head + y;
        const Index row = tile.start.row + z;
        const auto offset =
            static_cast<std::uint32_t>((z * map.box_heads + y) * row_bytes + x * element_bytes);
        auto* to = shared_.data() + swizzled(base + tile.to + offset, 3) - base;
        const bool inside = element >= 0 && element < map.dim && head >= 0 && head < map.heads &&
                            row >= 0 && row < map.rows;
        std::memset(to, 0, element_bytes);
        if (inside) {
          std::memcpy(to,
                      data + row * map.row_stride_bytes + head * map.head_stride_bytes +
                          element * element_bytes,
                      element_bytes);
        }
      }
    }
  }
  auto& here = barrier(tile.barrier);
  tile.arrived = true;
  tile.phase = here.phase;
  here.tiles.push_back(index);
  here.bytes -= box_bytes(map);
  end_phase_if_over(here);
}

bool AsyncMemory::let_arrive() {
  if (under_way_.empty()) return false;
  auto next = under_way_.begin();
  if (order_ == LaneOrder::backward) next = under_way_.end() - 1;
  if (order_ == LaneOrder::shuffled) {
    next += static_cast<std::ptrdiff_t>(random_() % under_way_.size());
  }
  const auto index = *next;
  under_way_.erase(next);
  arrive(tiles_[index], index);
  return true;
}

bool AsyncMemory::let_some_arrive() {
  bool some = false;
  while (order_ == LaneOrder::shuffled && random_() % 2 == 0 && let_arrive()) some = true;
  return some;
}

void AsyncMemory::wrote(SharedOffset at, int thread) {
  const int warp = thread / kernels::gpu::warp_lanes;
  const auto& known = known_[static_cast<std::size_t>(warp)];
  auto& chunk = chunks_[at / 16];
  if (chunk.writer != thread) not_fenced_[thread].push_back(at / 16);
  chunk.writer = thread;
  chunk.warp = warp;
  chunk.when = known[static_cast<std::size_t>(warp)];
}

void AsyncMemory::fence(int thread) {
  auto& written = not_fenced_[thread];
  for (const auto chunk : written) {
    if (chunks_[chunk].writer == thread) chunks_[chunk].writer = -1;
  }
  written.clear();
}

void AsyncMemory::meet(std::span<const int> warps) {
  Known all;
  for (const int warp : warps) join(all, tell(warp));
  for (const int warp : warps) join(known_[static_cast<std::size_t>(warp)], all);
}

bool AsyncMemory::is_known(SharedOffset at, int warp) const {
  const auto& chunk = chunks_[at / 16];
  return chunk.warp < 0 || chunk.warp == warp ||
         known_[static_cast<std::size_t>(warp)][static_cast<std::size_t>(chunk.warp)] >= chunk.when;
}

bool AsyncMemory::may_be_read(SharedOffset at, int bytes, int warp) const {
  for (int i = 0; i < bytes; i += 16) {
    const auto here = at + static_cast<SharedOffset>(i);
    if (chunks_[here / 16].writer >= 0 || !is_known(here, warp)) return false;
  }
  return true;
}

std::vector<float> AsyncMemory::numbers(SharedOffset at, int bytes) const {
  const auto size = static_cast<std::size_t>(bytes);
  ensure(at + size <= shared_.size(), "numbers lie outside shared memory");
  std::vector<float> numbers(size / sizeof(float));
  std::memcpy(numbers.data(), shared_.data() + at, size);
  return numbers;
}

bool AsyncMemory::is_seen(SharedOffset at, int warp) const {
  const int tile = chunks_[at / 16].tile;
  return tile < 0 || (tiles_[static_cast<std::size_t>(tile)].seen >> warp & 1) != 0;
}

std::array<std::uint16_t, 8> AsyncMemory::chunk(std::uint32_t address, int warp) const {
  ensure(address >= base && address - base + std::size_t{16} <= shared_.size() && address % 16 == 0,
         "a product reads outside shared memory");
  const auto at = address - base;
  std::array<std::uint16_t, 8> words;
  words.fill(0xffff);
  if (is_seen(at, warp) && may_be_read(at, 16, warp)) {
    std::memcpy(words.data(), shared_.data() + at, 16);
  }
  return words;
}

void AsyncMemory::check_end() const {
  ensure(under_way_.empty(), "a block ended before a tile had arrived");
  for (const auto& [at, barrier] : barriers_) {
    ensure(barrier.bytes == 0, "a block ended while a barrier expects bytes");
    ensure(barrier.expected == barrier.arrivals,
           "a block ended while some had arrived at a barrier");
  }
}

}  // namespace annulus::test
