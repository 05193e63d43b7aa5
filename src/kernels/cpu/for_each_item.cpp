#include "kernels/cpu/for_each_item.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#if ANNULUS_HAVE_OPENMP
#include <omp.h>
#endif

namespace annulus::kernels {

void for_each_step(Index chains, Index steps, int threads, const Poll& poll,
                   const std::function<void(Index chain, Index step, int worker)>& work) {
  // The calling thread has the first chain, however late it comes, and polls on while others have
  // chains left: transfers make progress all the time.
  std::atomic<Index> next = 1;
  std::atomic<Index> done = 0;
  std::atomic<bool> stopped = false;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&](int worker) {
    try {
      const bool polls = worker == 0 && poll;
      for (Index chain = worker == 0 ? 0 : next++; chain < chains; chain = next++) {
        for (Index step = 0; step < steps; ++step) {
          if (polls) poll();
          if (stopped) return;
          work(chain, step, worker);
        }
        ++done;
      }
      if (polls) poll();
      while (polls && done < chains && !stopped) {
        std::this_thread::yield();
        poll();
      }
    } catch (...) {
      stopped = true;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
#if ANNULUS_HAVE_OPENMP
  // All threads, however few the chains: those that a smaller team leaves out would end, and others
  // would have to be started for the next one.
#pragma omp parallel num_threads(threads) if (chains > 1)
  run(omp_get_thread_num());
#else
  static_cast<void>(threads);
  run(0);
#endif
  if (failure) std::rethrow_exception(failure);
}

void for_each_item(Index count, int threads, const Poll& poll,
                   const std::function<void(Index item, int worker)>& work) {
  for_each_step(count, 1, threads, poll,
                [&](Index item, Index, int worker) { work(item, worker); });
}

void for_each_row(Index rows, int threads, const std::function<void(Index row)>& work) {
  constexpr Index rows_of_item = 32;
  for_each_item(ceil_div(rows, rows_of_item), threads, {}, [&](Index item, int) {
    const Index end = std::min(rows, (item + 1) * rows_of_item);
    for (Index row = item * rows_of_item; row < end; ++row) work(row);
  });
}

}  // namespace annulus::kernels
