#include "kernels/cuda/block_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block.hpp"
#include "kernels/cuda/device/instructions.hpp"
#include "kernels/cuda/matrix_numbers.hpp"

namespace annulus::test {
namespace {

const char* name_of(Meeting meeting) {
  constexpr std::array names{
      "nothing",         "barrier",   "end",      "a meeting of the warp", "any",
      "shuffle",         "mma",       "ldmatrix", "a barrier of arrivals", "a count",
      "a named barrier", "registers", "wgmma",    "a fence of wgmma",      "a group of wgmma",
      "a wait for wgmma"};
  return names[static_cast<std::size_t>(meeting)];
}

/// Whether registers may have been touched since; waiting for others touches none.
bool touches(Meeting meeting) {
  return meeting < Meeting::barrier_wait;
}

/// What shared memory holds before anybody writes to it: NaN in fp32, bf16 and fp16.
void poison(std::span<std::byte> bytes) {
  std::ranges::fill(bytes, std::byte{0xff});
}

thread_local Block* current = nullptr;

}  // namespace

Block& this_block() {
  return *current;
}

Block::Block(const Launch& launch, const Schedule& schedule, const std::function<void()>& body,
             AdditionOrder* additions)
    : schedule_(schedule),
      body_(body),
      registers_(launch.registers),
      lane_step_(schedule.order == LaneOrder::backward ? lanes - 1 : 1),
      random_(schedule.seed),
      shared_(static_cast<std::size_t>(launch.shared_bytes)),
      additions_(additions),
      blocks_x_(launch.blocks_x),
      threads_(static_cast<std::size_t>(launch.threads)),
      warps_(threads_.size() / lanes),
      warp_order_(warps_.size()) {
  ensure(launch.threads % lanes == 0, "blocks are made of whole warps");
  for (auto& thread : threads_) thread.fiber = std::make_unique<Fiber>([this] { live(); });
  std::iota(warp_order_.begin(), warp_order_.end(), std::size_t{0});
  if (schedule.order == LaneOrder::backward) std::ranges::reverse(warp_order_);
}

/// The life of a thread: the kernel, once for each block.
void Block::live() {
  while (true) {
    try {
      body_();
      for (const auto& group : thread().groups) {
        ensure(group.empty(), "a thread ended before its copies had arrived");
      }
      ensure(thread().open.empty(), "a thread ended with copies in no group");
      thread().groups.clear();
      if (gather(Meeting::end, nullptr)) {
        warp().ready = [] { return false; };
        leave_to_scheduler();
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
    if (failure_) leave_to_scheduler();
  }
}

void Block::go_to(int index) {
  auto& from = *thread().fiber;
  running = index;
  Fiber::switch_to(from, *thread().fiber);
}

void Block::leave_to_scheduler() {
  warp().next = running;
  Fiber::switch_to(*thread().fiber, scheduler_);
}

void Block::wait_until(std::function<bool()> ready) {
  if (ready()) return;
  warp().ready = std::move(ready);
  leave_to_scheduler();
}

void Block::order_warps() {
  if (schedule_.order == LaneOrder::shuffled) std::ranges::shuffle(warp_order_, random_);
}

void Block::start(int block_x, int block_y) {
  x = block_x;
  y = block_y;
  first_thread_ = (y * blocks_x_ + x) * static_cast<int>(threads_.size());
  poison(shared_);
  async.start(shared_, warps_.size(), schedule_, static_cast<unsigned>(random_()));
  product_logs.assign((warps_.size() + 3) / 4, {});
  named_barriers_ = {};
  free_registers_ = 0;
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const auto lane = schedule_.order == LaneOrder::shuffled ? random_() % lanes : 0U;
    warps_[w] = {.next = static_cast<int>(w * lanes + lane),
                 .ready = [] { return true; },
                 .registers = registers_};
  }
}

bool Block::has_ended() const {
  return std::ranges::all_of(
      warps_, [](const Warp& warp) { return warp.meeting == Meeting::end && warp.arrived == 0; });
}

bool Block::go_on() {
  current = this;
  order_warps();
  bool moved = false;
  for (const auto w : warp_order_) {
    // What a warp waits for may come after it was asked.
    moved = async.let_some_arrive() || moved;
    if (!warps_[w].ready()) continue;
    moved = true;
    running = warps_[w].next;
    Fiber::switch_to(scheduler_, *thread().fiber);
    if (failure_) std::rethrow_exception(failure_);
  }
  moved = std::exchange(goes_on_by_itself_, false) || moved;
  return moved || async.let_arrive();
}

void Block::let_others_run() {
  const bool many = schedule_.order == LaneOrder::shuffled && random_() % 16 == 0;
  wait_until([this, rounds = many ? 40 : 1]() mutable {
    goes_on_by_itself_ = true;
    return rounds-- == 0;
  });
}

void Block::run(int block_x, int block_y) {
  start(block_x, block_y);
  while (!has_ended()) {
    if (!go_on()) throw Error("the block hangs:" + where_warps_are());
  }
  check_end();
}

std::string Block::where_warps_are() const {
  std::string text;
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    text += " warp " + std::to_string(w) + " is at " + name_of(warps_[w].meeting) + ";";
  }
  return text;
}

const std::byte* Block::written(SharedOffset at, int size) {
  alignas(16) static constexpr auto nans = [] {
    std::array<std::byte, 16> bytes{};
    bytes.fill(std::byte{0xff});
    return bytes;
  }();
  const auto* bytes = shared(at, size);
  return async.is_known(at, warp_of_thread()) ? bytes : nans.data();
}

void Block::write(SharedOffset at, const void* value, int size) {
  std::memcpy(shared(at, size), value, static_cast<std::size_t>(size));
  async.wrote(at, running);
}

void Block::check_end() {
  async.check_end();
  bulk_additions.check_end();
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    warps_[w].products.check_end(product_logs[w / 4]);
    ensure(warps_[w].registers == warps_[w / 4 * 4].registers,
           "the warps of a warpgroup have different numbers of registers");
  }
  for (const auto& barrier : named_barriers_) {
    ensure(barrier.arrived == 0, "a block ended while some wait at a named barrier");
  }
}

bool Block::gather(Meeting meeting, void* call) {
  auto& warp = this->warp();
  const int lane = running % lanes;
  if (warp.arrived == 0) warp.meeting = meeting;
  if (warp.meeting != meeting) {
    throw Error(std::string("the lanes of a warp have parted: some are at ") +
                name_of(warp.meeting) + ", one is at " + name_of(meeting));
  }
  warp.calls[static_cast<std::size_t>(lane)] = call;
  if (++warp.arrived < lanes) {
    go_to(running - lane + (lane + lane_step_) % lanes);
    return false;
  }
  warp.arrived = 0;
  if (touches(meeting)) warp.products.touch();
  return true;
}

void Block::sync() {
  sync_at(0, static_cast<int>(threads_.size()), Meeting::barrier);
}

void Block::sync(int id, int threads) {
  ensure(id >= 1 && id <= 15, "named barriers have numbers from 1 to 15");
  sync_at(id, threads, Meeting::named_barrier);
}

void Block::sync_at(int id, int threads, Meeting meeting) {
  ensure(threads % lanes == 0 && threads > 0 && threads <= static_cast<int>(threads_.size()),
         "whole warps of the block meet at a barrier");
  auto& barrier = named_barriers_[static_cast<std::size_t>(id)];
  int generation = 0;
  meet_and_wait(
      meeting,
      [&] {
        ensure(barrier.arrived == 0 || barrier.threads == threads,
               "those who meet at a barrier expect different numbers of threads");
        barrier.threads = threads;
        generation = barrier.generation;
        barrier.arrived += lanes;
        barrier.warps.push_back(warp_of_thread());
        if (barrier.arrived < threads) return;
        barrier.arrived = 0;
        ++barrier.generation;
        async.meet(std::exchange(barrier.warps, {}));
        if (id == 0 && additions_ != nullptr) additions_->meet(first_thread_, threads);
      },
      [&barrier, &generation] { return barrier.generation != generation; }, [] {});
}

void Block::give_registers(int registers) {
  meet_and_wait(
      Meeting::registers,
      [&] {
        ensure(registers % 8 == 0 && registers >= 24 && registers <= warp().registers,
               "a thread gives registers down to a multiple of 8, at least 24");
        free_registers_ += (warp().registers - registers) * lanes;
        warp().registers = registers;
      },
      [] { return true; }, [] {});
}

void Block::take_registers(int registers) {
  const auto wanted = [&] { return (registers - warp().registers) * lanes; };
  meet_and_wait(
      Meeting::registers,
      [&] {
        ensure(registers % 8 == 0 && registers <= 256 && registers >= warp().registers &&
                   warp().registers > 0,
               "a thread takes registers up to a multiple of 8, at most 256");
      },
      [this, missing = wanted()] { return free_registers_ >= missing; },
      [&] {
        free_registers_ -= wanted();
        warp().registers = registers;
      });
}

void Block::start_copy(SharedOffset to, const void* from, int bytes, int size) {
  ensure(bytes >= 0 && bytes <= size, "a copy has between 0 and `size` bytes");
  ensure(reinterpret_cast<std::uintptr_t>(from) % static_cast<unsigned>(size) == 0,
         "the source of a copy is not aligned");
  poison({shared(to, size), static_cast<std::size_t>(size)});
  thread().open.push_back({to, from, bytes, size});
}

void Block::wait(std::size_t pending) {
  auto& groups = thread().groups;
  while (groups.size() > pending) {
    for (const auto& copy : groups.front()) {
      auto* to = shared(copy.to, copy.size);
      std::memset(to, 0, static_cast<std::size_t>(copy.size));
      std::memcpy(to, copy.from, static_cast<std::size_t>(copy.bytes));
    }
    groups.erase(groups.begin());
  }
}

namespace {

/// Blocks that may wait for one another, as many at a time as there is room for.
class BlocksTogether {
 public:
  BlocksTogether(const Launch& launch, const Schedule& schedule, const std::function<void()>& body)
      : launch_(launch),
        order_(schedule.order),
        random_(schedule.seed),
        additions_(launch.blocks_x * launch.blocks_y * launch.threads, launch.in_order),
        to_start_(static_cast<std::size_t>(launch.blocks_x * launch.blocks_y)) {
    std::iota(to_start_.begin(), to_start_.end(), 0);
    if (order_ == LaneOrder::forward) std::ranges::reverse(to_start_);  // the next one is the last
    if (order_ == LaneOrder::shuffled) std::ranges::shuffle(to_start_, random_);
    for (int i = 0; i < room; ++i) {
      idle_.push_back(std::make_unique<Block>(launch, schedule, body, &additions_));
    }
  }

  LaunchReport run() {
    start_some();
    while (!running_.empty()) {
      if (!go_on() && !some_have_ended()) throw_hang();
      end_some();
      start_some();
    }
    return report_;
  }

 private:
  static constexpr int room = 3;

  /// Each goes on to its first barrier before the next one starts.
  void start_some() {
    while (!idle_.empty() && !to_start_.empty()) {
      running_.push_back(std::move(idle_.back()));
      idle_.pop_back();
      auto& block = *running_.back();
      block.start(to_start_.back() % launch_.blocks_x, to_start_.back() / launch_.blocks_x);
      to_start_.pop_back();
      static_cast<void>(block.go_on());
    }
  }

  /// The first block that can: the oldest, the youngest, or any, which is the first for a while, so
  /// that others come to wait for those that it leaves behind.
  bool go_on() {
    if (order_ == LaneOrder::shuffled && random_() % 64 == 0) {
      std::ranges::shuffle(running_, random_);
    }
    std::vector<Block*> blocks;
    for (const auto& block : running_) blocks.push_back(block.get());
    if (order_ == LaneOrder::backward) std::ranges::reverse(blocks);
    return std::ranges::any_of(blocks, [](Block* block) { return block->go_on(); });
  }

  [[nodiscard]] bool some_have_ended() const {
    return std::ranges::any_of(running_, [](const auto& block) { return block->has_ended(); });
  }

  void end_some() {
    for (auto& block : running_) {
      if (!block->has_ended()) continue;
      block->check_end();
      report_.bank_conflicts += std::exchange(block->report, {}).bank_conflicts;
      idle_.push_back(std::move(block));
    }
    std::erase(running_, nullptr);
  }

  [[noreturn]] void throw_hang() const {
    std::string message = "blocks hang:";
    for (const auto& block : running_) message += block->where_warps_are();
    throw Error(message);
  }

  Launch launch_;
  LaneOrder order_;
  std::mt19937 random_;
  AdditionOrder additions_;
  std::vector<int> to_start_;
  std::vector<std::unique_ptr<Block>> idle_;
  std::vector<std::unique_ptr<Block>> running_;  ///< in the order in which they started, or any
  LaunchReport report_;
};

}  // namespace

LaunchReport run_blocks(const Launch& launch, const Schedule& schedule,
                        const std::function<void()>& body) {
  if (launch.together) {
    const auto report = BlocksTogether(launch, schedule, body).run();
    current = nullptr;
    return report;
  }
  Block block(launch, schedule, body);
  current = &block;
  for (int y = 0; y < launch.blocks_y; ++y) {
    for (int x = 0; x < launch.blocks_x; ++x) block.run(x, y);
  }
  current = nullptr;
  return block.report;
}

}  // namespace annulus::test

namespace annulus::kernels::gpu {

using test::Calls;
using test::lanes;
using test::Meeting;
using test::this_block;

int thread_index() {
  return this_block().running;
}

int block_x() {
  return this_block().x;
}

int block_y() {
  return this_block().y;
}

void sync_threads() {
  this_block().sync();
}

void sync_warp() {
  this_block().meet(Meeting::warp, nullptr, [](Calls) { this_block().warp_has_met(); });
}

bool any(bool flag) {
  struct Call {
    bool flag;
    bool result;
  } call{flag, false};
  this_block().meet(Meeting::any, &call, [](Calls calls) {
    const bool result =
        std::ranges::any_of(calls, [](void* one) { return static_cast<Call*>(one)->flag; });
    for (void* one : calls) static_cast<Call*>(one)->result = result;
  });
  return call.result;
}

float shuffle(float value, int lane) {
  struct Call {
    float value;
    int lane;
    float result;
  } call{value, lane, 0};
  this_block().meet(Meeting::shuffle, &call, [](Calls calls) {
    for (void* one : calls) {
      auto& to = *static_cast<Call*>(one);
      to.result = static_cast<Call*>(calls[static_cast<std::size_t>(to.lane)])->value;
    }
  });
  return call.result;
}

float shuffle_xor(float value, int mask) {
  return shuffle(value, lane_index() ^ mask);
}

namespace {

struct MmaCall {
  float* c;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

/// Fragments as in the PTX manual, "Matrix Fragments for mma.m16n8k16 with floating point type".
template <class T>
void multiply(Calls calls) {
  const auto call_of = [&](std::size_t lane) { return *static_cast<MmaCall*>(calls[lane]); };
  std::array<std::uint16_t, 16 * 16> a_words;
  std::array<std::uint16_t, 16 * 8> b_words;
  std::array<float, 16 * 8> c;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    const auto call = call_of(lane);
    const std::size_t group = lane / 4;
    const std::size_t pair = lane % 4 * 2;
    for (std::size_t r = 0; r < 4; ++r) {
      const std::size_t at = test::place_of_pair(lane, r);
      a_words[at] = static_cast<std::uint16_t>(call.a[r] & 0xffffU);
      a_words[at + 1] = static_cast<std::uint16_t>(call.a[r] >> 16);
    }
    for (std::size_t r = 0; r < 2; ++r) {
      const std::size_t at = (pair + r * 8) * 8 + group;
      b_words[at] = static_cast<std::uint16_t>(call.b[r] & 0xffffU);
      b_words[at + 8] = static_cast<std::uint16_t>(call.b[r] >> 16);
    }
    for (std::size_t i = 0; i < 4; ++i) c[test::place_of_sum(lane, i, 8)] = call.c[i];
  }
  std::array<float, a_words.size()> a;
  std::array<float, b_words.size()> b;
  test::convert<T>(a_words.data(), a_words.size(), a.data());
  test::convert<T>(b_words.data(), b_words.size(), b.data());
  test::add_products(16, 16, 8, a.data(), b.data(), c.data());
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      call_of(lane).c[i] = c[test::place_of_sum(lane, i, 8)];
    }
  }
}

}  // namespace

template <class T>
void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MmaCall call{c, a, b};
  this_block().meet(Meeting::mma, &call, multiply<T>);
}

template void mma_m16n8k16<BFloat16>(float (&)[4], const std::uint32_t (&)[4],
                                     const std::uint32_t (&)[2]);
template void mma_m16n8k16<Float16>(float (&)[4], const std::uint32_t (&)[4],
                                    const std::uint32_t (&)[2]);

namespace {

struct MatrixCall {
  SharedOffset at;
  std::uint32_t* registers;
};

/// Lanes 8 i to 8 i + 7 bring the addresses of the rows of matrix i, which is served at once where
/// they lie in different groups of banks.
template <bool transposed>
void load_matrices(Calls calls) {
  for (std::size_t matrix = 0; matrix < 4; ++matrix) {
    std::array<std::array<std::uint16_t, 8>, 8> elements;
    std::array<int, 8> served{};
    for (std::size_t row = 0; row < 8; ++row) {
      const auto at = static_cast<MatrixCall*>(calls[8 * matrix + row])->at;
      std::memcpy(elements[row].data(), this_block().written(at, 16), 16);
      ++served[at / 16 % 8];
    }
    this_block().report.bank_conflicts += *std::ranges::max_element(served) - 1;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const std::size_t first = lane / 4;
      const std::size_t second = lane % 4 * 2;
      const std::uint32_t low = transposed ? elements[second][first] : elements[first][second];
      const std::uint32_t high =
          transposed ? elements[second + 1][first] : elements[first][second + 1];
      static_cast<MatrixCall*>(calls[lane])->registers[matrix] = low | high << 16;
    }
  }
}

}  // namespace

void ldmatrix_x4(std::uint32_t (&r)[4], SharedOffset at) {
  MatrixCall call{at, r};
  this_block().meet(Meeting::ldmatrix, &call, load_matrices<false>);
}

void ldmatrix_x4_trans(std::uint32_t (&r)[4], SharedOffset at) {
  MatrixCall call{at, r};
  this_block().meet(Meeting::ldmatrix, &call, load_matrices<true>);
}

void cp_async_bytes(SharedOffset to, const void* from, int bytes, int size) {
  this_block().start_copy(to, from, bytes, size);
}

void cp_async_commit() {
  this_block().commit();
}

void cp_async_wait_for(int pending) {
  this_block().wait(static_cast<std::size_t>(pending));
}

const void* shared_bytes(SharedOffset at, int size) {
  const auto* bytes = this_block().written(at, size);
  ensure(this_block().async.is_seen(at, this_block().warp_of_thread()),
         "a thread reads a tile that it has not waited for");
  return bytes;
}

template <class T>
std::uint32_t pack(float low, float high) {
  this_block().warp().products.touch();
  return std::uint32_t{T(low).bits} | std::uint32_t{T(high).bits} << 16;
}

template std::uint32_t pack<BFloat16>(float, float);
template std::uint32_t pack<Float16>(float, float);

void store_shared_bytes(SharedOffset at, const void* value, int size) {
  this_block().write(at, value, size);
}

void add_global(float* to, float x) {
  this_block().additions().add(this_block().thread_of_all(), to);
  *to += x;
}

std::uint32_t take_ticket(std::uint32_t* tickets) {
  return (*tickets)++;
}

std::uint32_t look_at(const std::uint32_t* count) {
  this_block().additions().look(this_block().thread_of_all(), count);
  return *count;
}

void raise(std::uint32_t* count) {
  this_block().additions().raise(this_block().thread_of_all(), count);
  ++*count;
}

void wait_for(const std::uint32_t* count, std::uint32_t wanted) {
  this_block().meet_and_wait(
      Meeting::count, [] {}, [count, wanted] { return *count >= wanted; },
      [count] {
        auto& block = this_block();
        for (int lane = 0; lane < lanes; ++lane) {
          block.additions().look(block.warp_of_all() + lane, count);
        }
      });
}

void fence_device() {
  this_block().additions().fence(this_block().thread_of_all());
}

float exp2_approximate(float x) {
  this_block().warp().products.touch();
  return std::exp2(x);
}

float rounded_product(float x, float y) {
  return x * y;
}

}  // namespace annulus::kernels::gpu
