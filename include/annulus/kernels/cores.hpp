#pragma once
// The cores that this process may compute on, as the system and OpenMP's environment have it.

#include <sys/types.h>

#include <vector>

namespace annulus::kernels {

/// The numbers of the cores that this process may use, rising. Also where the OpenMP library has
/// bound the calling thread to one of them, as OMP_PROC_BIND makes it do before main. Empty where
/// the system does not say.
[[nodiscard]] std::vector<int> usable_cores();

/// The same of another process, by its own mask.
[[nodiscard]] std::vector<int> cores_of_process(pid_t process);

/// Whether the OpenMP library binds threads to cores (OMP_PROC_BIND).
[[nodiscard]] bool binds_threads();

/// The most threads that OpenMP gives a process: OMP_THREAD_LIMIT, or no limit that matters.
[[nodiscard]] int thread_limit();

}  // namespace annulus::kernels
