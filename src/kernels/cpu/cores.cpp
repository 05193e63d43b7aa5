#include "annulus/kernels/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <limits>

#if ANNULUS_HAVE_OPENMP
#include <omp.h>
#endif

namespace annulus::kernels {

std::vector<int> cores_of_process(pid_t process) {
  // Room for more cores than a machine has: with too little the call fails.
  constexpr int most_cores = 1 << 16;
  std::vector<cpu_set_t> sets(most_cores / CPU_SETSIZE);
  const auto bytes = sets.size() * sizeof(cpu_set_t);
  std::vector<int> cores;
  if (sched_getaffinity(process, bytes, sets.data()) != 0) return cores;
  for (int core = 0; core < most_cores; ++core) {
    if (CPU_ISSET_S(static_cast<std::size_t>(core), bytes, sets.data())) cores.push_back(core);
  }
  return cores;
}

#if ANNULUS_HAVE_OPENMP

std::vector<int> usable_cores() {
  // Where OpenMP binds threads, its places are what the process was given; the mask of this thread
  // is one of them.
  std::vector<int> cores;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> ids(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, ids.data());
    cores.insert(cores.end(), ids.begin(), ids.end());
  }
  std::ranges::sort(cores);
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores.empty() ? cores_of_process(0) : cores;
}

bool binds_threads() {
  return omp_get_proc_bind() != omp_proc_bind_false;
}

int thread_limit() {
  return omp_get_thread_limit();
}

#else

std::vector<int> usable_cores() {
  return cores_of_process(0);
}

bool binds_threads() {
  return false;
}

int thread_limit() {
  return std::numeric_limits<int>::max();
}

#endif

}  // namespace annulus::kernels
