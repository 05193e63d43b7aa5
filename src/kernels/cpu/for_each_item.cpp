#include "kernels/cpu/for_each_item.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#if ANNULUS_HAVE_OPENMP
#include <omp.h>
#endif

namespace annulus::kernels {

void for_each_item(Index count, int threads, const Poll& poll,
                   const std::function<void(Index item, int worker)>& work) {
  std::atomic<Index> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&](int worker) {
    try {
      // Before every item and once more at the end, so that the caller polls even where the other
      // workers leave it nothing to do.
      const auto take = [&] {
        if (worker == 0 && poll) poll();
        return next++;
      };
      for (Index item = take(); item < count; item = take()) work(item, worker);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  const int team = static_cast<int>(std::min<Index>(threads, count));
#if ANNULUS_HAVE_OPENMP
  if (team > 1) {
#pragma omp parallel num_threads(team)
    run(omp_get_thread_num());
  } else {
    run(0);
  }
#else
  static_cast<void>(team);
  run(0);
#endif
  if (failure) std::rethrow_exception(failure);
}

}  // namespace annulus::kernels
