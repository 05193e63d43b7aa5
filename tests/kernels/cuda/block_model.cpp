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
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/device/instructions.hpp"
#include "kernels/cuda/fiber.hpp"

namespace annulus::test {
namespace {

using kernels::gpu::SharedOffset;

constexpr int lanes = 32;

/// What the lanes of a warp, or of all warps, do together.
enum class Meeting { none, barrier, end, any, shuffle, mma, ldmatrix };

const char* name_of(Meeting meeting) {
  constexpr std::array names{"nothing", "barrier", "end", "any", "shuffle", "mma", "ldmatrix"};
  return names[static_cast<std::size_t>(meeting)];
}

/// One for each lane: where the operands and results of an instruction are.
using Calls = std::span<void* const, lanes>;

class Block {
 public:
  Block(const Launch& launch, const Schedule& schedule, const std::function<void()>& body);

  /// Runs all threads once.
  void run(int x, int y);

  /// Called by a thread: comes back when all lanes of its warp (for a barrier, all threads) are
  /// here and `compute` has been called on what each of them brought.
  template <class Compute>
  void meet(Meeting meeting, void* call, Compute compute);
  void meet(Meeting meeting) {
    meet(meeting, nullptr, [](Calls) {});
  }

  std::byte* shared(SharedOffset at, int size) {
    ensure(at % static_cast<unsigned>(size) == 0, "an address in shared memory is not aligned");
    ensure(at + static_cast<std::size_t>(size) <= shared_.size(),
           "an address lies outside shared memory");
    return shared_.data() + at;
  }

  void start_copy(SharedOffset to, const void* from, int bytes, int size);
  void commit() { thread().groups.emplace_back(std::move(thread().open)); }
  void wait(std::size_t pending);

  /// What shared memory holds before anybody writes to it: NaN in fp32, bf16 and fp16.
  static void poison(std::span<std::byte> bytes) { std::ranges::fill(bytes, std::byte{0xff}); }

  struct Copy {
    SharedOffset to;
    const void* from;
    int bytes;
    int size;
  };
  struct Thread {
    std::unique_ptr<Fiber> fiber;
    std::vector<Copy> open{};
    std::vector<std::vector<Copy>> groups{};  ///< the oldest first
  };
  struct Warp {
    Meeting meeting = Meeting::none;
    int arrived = 0;
    std::array<void*, lanes> calls{};
    int next = 0;  ///< thread that goes on when the warp runs again
  };

  [[nodiscard]] Thread& thread() { return threads_[static_cast<std::size_t>(running)]; }

  int x = 0;
  int y = 0;
  int running = 0;  ///< index of the thread that runs
  LaunchReport report;

 private:
  [[nodiscard]] Warp& warp() { return warps_[static_cast<std::size_t>(running / lanes)]; }
  void live();
  void go_to(int index);
  void leave_to_scheduler();
  void order_warps();

  const Schedule schedule_;
  const std::function<void()>& body_;
  int lane_step_;
  std::mt19937 random_;
  std::vector<std::byte> shared_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::size_t> warp_order_;
  Fiber scheduler_;
  std::exception_ptr failure_;
};

thread_local Block* current = nullptr;

Block::Block(const Launch& launch, const Schedule& schedule, const std::function<void()>& body)
    : schedule_(schedule),
      body_(body),
      lane_step_(schedule.order == LaneOrder::backward ? lanes - 1 : 1),
      random_(schedule.seed),
      shared_(static_cast<std::size_t>(launch.shared_bytes)),
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
      meet(Meeting::end);
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
  Fiber::switch_to(*thread().fiber, scheduler_);
}

void Block::order_warps() {
  if (schedule_.order == LaneOrder::shuffled) std::ranges::shuffle(warp_order_, random_);
}

void Block::run(int block_x, int block_y) {
  x = block_x;
  y = block_y;
  poison(shared_);
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const auto lane = schedule_.order == LaneOrder::shuffled ? random_() % lanes : 0U;
    warps_[w] = {.next = static_cast<int>(w * lanes + lane)};
  }
  while (true) {
    order_warps();
    for (const auto w : warp_order_) {
      running = warps_[w].next;
      Fiber::switch_to(scheduler_, *thread().fiber);
      if (failure_) std::rethrow_exception(failure_);
    }
    const auto meeting = warps_.front().meeting;
    for (const auto& warp : warps_) {
      ensure(warp.meeting == meeting, "some threads ended while others wait at a barrier");
    }
    if (meeting == Meeting::end) return;
  }
}

template <class Compute>
void Block::meet(Meeting meeting, void* call, Compute compute) {
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
    return;
  }
  warp.arrived = 0;
  if (meeting == Meeting::barrier || meeting == Meeting::end) {
    warp.next = running;
    leave_to_scheduler();
  } else {
    compute(Calls(warp.calls));
  }
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

}  // namespace

LaunchReport run_blocks(const Launch& launch, const Schedule& schedule,
                        const std::function<void()>& body) {
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
using test::current;
using test::lanes;
using test::Meeting;

int thread_index() {
  return current->running;
}

int block_x() {
  return current->x;
}

int block_y() {
  return current->y;
}

void sync_threads() {
  current->meet(Meeting::barrier);
}

bool any(bool flag) {
  struct Call {
    bool flag;
    bool result;
  } call{flag, false};
  current->meet(Meeting::any, &call, [](Calls calls) {
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
  current->meet(Meeting::shuffle, &call, [](Calls calls) {
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

/// The two elements of a register.
template <class T>
std::array<float, 2> unpack(std::uint32_t word) {
  T low;
  T high;
  low.bits = static_cast<std::uint16_t>(word & 0xffffU);
  high.bits = static_cast<std::uint16_t>(word >> 16);
  return {low, high};
}

struct MmaCall {
  float* c;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

/// Fragments as in the PTX manual, "Matrix Fragments for mma.m16n8k16 with floating point type".
template <class T>
void multiply(Calls calls) {
  const auto call_of = [&](std::size_t lane) { return *static_cast<MmaCall*>(calls[lane]); };
  std::array<std::array<float, 16>, 16> a;
  std::array<std::array<float, 8>, 16> b;
  std::array<std::array<float, 8>, 16> c;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    const std::size_t group = lane / 4;
    const std::size_t pair = lane % 4 * 2;
    for (std::size_t r = 0; r < 4; ++r) {
      const auto elements = unpack<T>(call_of(lane).a[r]);
      const std::size_t row = group + r % 2 * 8;
      const std::size_t k = pair + r / 2 * 8;
      a[row][k] = elements[0];
      a[row][k + 1] = elements[1];
    }
    for (std::size_t r = 0; r < 2; ++r) {
      const auto elements = unpack<T>(call_of(lane).b[r]);
      const std::size_t k = pair + r * 8;
      b[k][group] = elements[0];
      b[k + 1][group] = elements[1];
    }
    for (std::size_t i = 0; i < 4; ++i) {
      c[group + i / 2 * 8][pair + i % 2] = call_of(lane).c[i];
    }
  }
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t k = 0; k < 16; ++k) {
      for (std::size_t j = 0; j < 8; ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      call_of(lane).c[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
  }
}

}  // namespace

template <class T>
void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MmaCall call{c, a, b};
  current->meet(Meeting::mma, &call, multiply<T>);
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
      std::memcpy(elements[row].data(), current->shared(at, 16), 16);
      ++served[at / 16 % 8];
    }
    current->report.bank_conflicts += *std::ranges::max_element(served) - 1;
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
  current->meet(Meeting::ldmatrix, &call, load_matrices<false>);
}

void ldmatrix_x4_trans(std::uint32_t (&r)[4], SharedOffset at) {
  MatrixCall call{at, r};
  current->meet(Meeting::ldmatrix, &call, load_matrices<true>);
}

void cp_async_bytes(SharedOffset to, const void* from, int bytes, int size) {
  current->start_copy(to, from, bytes, size);
}

void cp_async_commit() {
  current->commit();
}

void cp_async_wait_for(int pending) {
  current->wait(static_cast<std::size_t>(pending));
}

const void* shared_bytes(SharedOffset at, int size) {
  return current->shared(at, size);
}

template <class T>
std::uint32_t pack(float low, float high) {
  return std::uint32_t{T(low).bits} | std::uint32_t{T(high).bits} << 16;
}

template std::uint32_t pack<BFloat16>(float, float);
template std::uint32_t pack<Float16>(float, float);

float exp2_approximate(float x) {
  return std::exp2(x);
}

float rounded_product(float x, float y) {
  return x * y;
}

}  // namespace annulus::kernels::gpu
