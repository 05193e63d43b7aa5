#pragma once
// Additions of numbers in shared memory to device memory that go on by themselves.
//
// From the PTX ISA, "cp.reduce.async.bulk" and "Async proxy":
// - What is added is read when the thread waits for that and no sooner: what has changed since the
//   start is NaN. It is an error to start before all of it is fenced and known to the thread.
// - It is added when the thread waits for all of an addition and no sooner, in the order that the
//   thread knew of when it started, see AdditionOrder.
// - Other warps get to run before either wait ends.
// - What is in no group, or is not waited for, is an error.

#include <cstddef>
#include <map>
#include <vector>

#include "kernels/cuda/addition_order.hpp"
#include "kernels/cuda/async_memory.hpp"

namespace annulus::test {

class BulkAdditions {
 public:
  using SharedOffset = kernels::gpu::SharedOffset;

  /// `thread`, and `thread_of_all` among those of all blocks.
  void start(int thread, int thread_of_all, float* to, SharedOffset from, int bytes,
             const AsyncMemory& memory, const AdditionOrder& order);
  void commit(int thread);
  /// Until all but the youngest `pending` groups have been read, or added.
  void wait_read(int thread, std::size_t pending, const AsyncMemory& memory);
  void wait(int thread, std::size_t pending, const AsyncMemory& memory, AdditionOrder& order);

  /// Of the threads of one block, which may start anew.
  void check_end();

 private:
  struct Addition {
    int thread_of_all = 0;
    float* to = nullptr;
    SharedOffset from = 0;
    std::vector<float> numbers{};
    AdditionOrder::Known known{};
    bool read = false;
  };
  using Group = std::vector<Addition>;
  struct Thread {
    Group open{};
    std::vector<Group> groups{};  ///< the oldest first
  };

  static void read(Addition& addition, const AsyncMemory& memory);

  std::map<int, Thread> threads_;
};

}  // namespace annulus::test
