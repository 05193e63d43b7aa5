#pragma once
// The CUDA runtime without hardware, as far as streams ask for it: what an executable has in place
// of the library. Memory is the host's, and work is done when it is enqueued.

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace annulus::test {

struct FakeCuda {
  struct Pool {
    int device;
    std::size_t threshold = 0;
    std::set<int> readers{};  ///< other GPUs that may use its memory
    int allocations = 0;      ///< that have not been freed
  };

  int gpus = 3;
  /// Pools that were made and not destroyed, in their order.
  std::vector<Pool*> pools{};
  /// Allocations of cudaMalloc that have not been freed, and how many more of them succeed.
  std::set<void*> separate{};
  int separate_left = 1 << 30;
  /// How many more succeed where a pool is trimmed.
  int separate_in_pool = 0;
  /// The calls that change or wait for something, in their order, since this was cleared.
  std::vector<std::string> calls{};

  static FakeCuda& get();
};

}  // namespace annulus::test
