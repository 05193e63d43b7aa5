#pragma once
// A thread block of the model: its threads, who of them runs, and its shared memory. What
// block_model.hpp promises; instructions are defined over it.

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/addition_order.hpp"
#include "kernels/cuda/async_memory.hpp"
#include "kernels/cuda/block_model.hpp"
#include "kernels/cuda/bulk_additions.hpp"
#include "kernels/cuda/device/machine.hpp"
#include "kernels/cuda/fiber.hpp"
#include "kernels/cuda/warp_products.hpp"

namespace annulus::test {

using kernels::gpu::SharedOffset;

inline constexpr int lanes = 32;

/// What the lanes of a warp do together.
enum class Meeting {
  none,
  barrier,
  end,
  warp,
  any,
  shuffle,
  mma,
  ldmatrix,
  barrier_wait,
  count,
  named_barrier,
  registers,
  product,
  product_fence,
  product_commit,
  product_wait
};

/// One for each lane: where the operands and results of an instruction are.
using Calls = std::span<void* const, lanes>;

class Block {
 public:
  /// Borrows `additions`, which may be null: then there are none.
  Block(const Launch& launch, const Schedule& schedule, const std::function<void()>& body,
        AdditionOrder* additions = nullptr);

  /// Runs all threads once.
  void run(int x, int y);

  /// The same a little at a time: begins, lets every warp that may go on do so once, and ends.
  /// go_on() says whether some did.
  void start(int block_x, int block_y);
  [[nodiscard]] bool go_on();
  [[nodiscard]] bool has_ended() const;
  void check_end();
  [[nodiscard]] std::string where_warps_are() const;

  /// Called by a thread: comes back when all lanes of its warp are here and `compute` has been
  /// called on what each of them brought.
  template <class Compute>
  void meet(Meeting meeting, void* call, Compute compute) {
    if (gather(meeting, call)) compute(Calls(warp().calls));
  }

  /// The same, and the warp then waits until ready() says so. arrive() is called once before, and
  /// go_on() once after that.
  template <class Arrive, class Ready, class GoOn>
  void meet_and_wait(Meeting meeting, Arrive arrive, Ready ready, GoOn go_on) {
    if (!gather(meeting, nullptr)) return;
    arrive();
    wait_until(std::move(ready));
    go_on();
  }

  std::byte* shared(SharedOffset at, int size) {
    ensure(at % static_cast<unsigned>(size) == 0, "an address in shared memory is not aligned");
    ensure(at + static_cast<std::size_t>(size) <= shared_.size(),
           "an address lies outside shared memory");
    return shared_.data() + at;
  }

  /// What this warp reads of what threads have written: NaN where that was another warp that this
  /// one has not met since.
  const std::byte* written(SharedOffset at, int size);
  void write(SharedOffset at, const void* value, int size);

  /// Of all blocks that run together. Throws Error where there are none of them.
  AdditionOrder& additions() {
    ensure(additions_ != nullptr, "blocks that add to device memory run together");
    return *additions_;
  }
  /// This thread, and the first of its warp, among those of all blocks.
  [[nodiscard]] int thread_of_all() const { return first_thread_ + running; }
  [[nodiscard]] int warp_of_all() const { return first_thread_ + running / lanes * lanes; }

  void warp_has_met() {
    if (additions_ != nullptr) additions_->meet(warp_of_all(), lanes);
  }

  /// Comes back when the other warps have run: once, or where the schedule is shuffled now and then
  /// as many times as they need for a step. What goes on by itself takes long.
  void let_others_run();

  /// All threads of the block.
  void sync();

  /// `threads` of them, at a barrier with a number.
  void sync(int id, int threads);

  /// The warp goes down or up to so many registers a thread; up once others have given enough.
  void give_registers(int registers);
  void take_registers(int registers);

  void start_copy(SharedOffset to, const void* from, int bytes, int size);
  void commit() { thread().groups.emplace_back(std::move(thread().open)); }
  void wait(std::size_t pending);

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
    std::function<bool()> ready{};
    int registers = 0;
    WarpProducts products{};
  };

  [[nodiscard]] Thread& thread() { return threads_[static_cast<std::size_t>(running)]; }
  [[nodiscard]] int warp_of_thread() const { return running / lanes; }
  [[nodiscard]] Warp& warp() { return warps_[static_cast<std::size_t>(warp_of_thread())]; }

  int x = 0;
  int y = 0;
  int running = 0;  ///< index of the thread that runs
  LaunchReport report;
  AsyncMemory async;
  BulkAdditions bulk_additions;
  std::vector<ProductLog> product_logs;  ///< one for each warpgroup

 private:
  struct NamedBarrier {
    int threads = 0;
    int arrived = 0;
    int generation = 0;
    std::vector<int> warps{};  ///< that have come
  };

  void live();
  void sync_at(int id, int threads, Meeting meeting);
  /// Whether the caller is the last lane of its warp to come, which goes on alone.
  bool gather(Meeting meeting, void* call);
  void wait_until(std::function<bool()> ready);
  void go_to(int index);
  void leave_to_scheduler();
  void order_warps();

  const Schedule schedule_;
  const std::function<void()>& body_;
  int registers_;
  int lane_step_;
  std::mt19937 random_;
  std::vector<std::byte> shared_;
  AdditionOrder* additions_;
  int blocks_x_;
  int first_thread_ = 0;  ///< of this block, among those of all blocks
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::size_t> warp_order_;
  std::array<NamedBarrier, 16> named_barriers_{};
  int free_registers_ = 0;
  bool goes_on_by_itself_ = false;  ///< something does that a warp waits for
  Fiber scheduler_;
  std::exception_ptr failure_;
};

/// That whose thread calls.
[[nodiscard]] Block& this_block();

}  // namespace annulus::test
