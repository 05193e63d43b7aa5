#pragma once
// Independent items of work over threads, while transfers make progress.

#include <functional>

#include "annulus/base/index.hpp"
#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// Calls work(item, worker) once for every item in [0, count), in any order, on at most `threads`
/// threads; `worker` in [0, threads) tells those that run at the same time apart. The calling
/// thread is worker 0 and calls `poll` between its items, at least once. The first exception of
/// `work` or `poll` stops all workers and is thrown again once they have stopped. Without OpenMP
/// the calling thread does all the work.
void for_each_item(Index count, int threads, const Poll& poll,
                   const std::function<void(Index item, int worker)>& work);

/// Calls work(chain, step, worker) for every chain in [0, chains) and every step in [0, steps): the
/// steps of a chain in order and on one thread, which takes them together; otherwise like items.
void for_each_step(Index chains, Index steps, int threads, const Poll& poll,
                   const std::function<void(Index chain, Index step, int worker)>& work);

/// How many of `count` chains can be shared out evenly: as many to each thread.
[[nodiscard]] constexpr Index shared_evenly(Index count, int threads) {
  return count / threads * threads;
}

/// Calls work(row) once for every row in [0, rows), many a time: rows of little work each.
void for_each_row(Index rows, int threads, const std::function<void(Index row)>& work);

}  // namespace annulus::kernels
