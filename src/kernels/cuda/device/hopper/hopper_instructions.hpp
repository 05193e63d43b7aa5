#pragma once
// The instructions that only compute capability 9.0 has (PTX target sm_90a), beside those of
// instructions.hpp; on a CPU the model of the tests runs them
// (tests/kernels/cuda/hopper_model.cpp).
//
// Barriers of arrivals and bytes ("mbarrier"), 8 bytes of shared memory each, in phases 0, 1, ...:
//   barrier_init(at, arrivals)     by one thread; barrier_init_fence() before anybody arrives
//   barrier_arrive(at)             one arrival
//   barrier_arrive(at, bytes)      one arrival, after which the phase waits for `bytes` more
//   barrier_arrive_after_copies(at)   one arrival, when this thread's cp_async are all there
//   barrier_wait(at, parity)       until the phase of this parity is over, by a whole warp
// A phase is over when all have arrived and all bytes are there; the next one begins at once.
//
// Tiles that come by themselves ("TMA"):
//   load_tile(to, map, {x, y, z}, at)   by one thread: the box of a map (tensor_map.hpp) that
//   begins
//                                  at element x, head y, row z, which brings its bytes to a barrier
//   async_proxy_fence()            what this thread has written to shared memory is seen by what
//                                  starts later: products, tiles and additions
//
// Additions that go on by themselves, in groups of the thread that starts them ("bulk reduce"):
//   add_numbers(to, from, bytes)   adds fp32 numbers in shared memory to those in device memory,
//                                  both end to end from a multiple of 16 bytes on
//   add_commit()                   closes a group
//   add_wait_read<n>()             until all but n groups have been read: what they read may change
//   add_wait<n>()                  until all but n groups have been added, and the thread knows it
//   async_proxy_fence_device()     what this thread knows of device memory comes before what
//                                  starts later
//
// Products of a warpgroup, the 128 threads of four warps ("wgmma"), each of which owns 16 of 64
// rows:
//   wgmma_fence(registers...)      before the first product and after registers were touched
//   wgmma<T>(d, a, b, adds)        d = a b (+ d), 64 rows by the columns of d, 16 terms. d:
//   fragments
//                                  of mma m16n8 for every 8 columns. a: rows in shared memory, or
//                                  in the fragment of mma m16n8k16. b: rows of `terms` for rows in
//                                  shared memory, columns for rows in registers
//   wgmma_across<T>(d, a, b, adds)   the same, of columns in shared memory for both
//   wgmma_commit()                 closes a group
//   wgmma_wait<n>(registers...)    until at most n groups are pending, whose registers may be
//   touched
// Until then d is undefined, a in registers may not be touched, and shared memory is still read.
//
//   of_warp(x)                     x, of which all lanes of a warp have the same, as the compiler
//                                  then knows
//   named_barrier_sync(id, threads)   waits until `threads` have come; ids 1 to 15
//   give_registers<n>(), take_registers<n>()   a warpgroup goes down or up to n registers a thread
//   store_zeros(at)                16 bytes of shared memory become 0
//   compute_before(numbers)        numbers >= 0, one or many, are computed before what comes next
//
// Where two terms name one number: "tile" is what load_tile brings, dim0 x heads x rows.

#include "kernels/cuda/device/hopper/tensor_map.hpp"
#include "kernels/cuda/device/instructions.hpp"

namespace annulus::kernels::gpu {

inline constexpr int warpgroup_threads = 4 * warp_lanes;

/// A matrix in shared memory, see matrix_descriptor.hpp.
using MatrixDescriptor = std::uint64_t;

}  // namespace annulus::kernels::gpu

#ifdef __CUDACC__
#include "kernels/cuda/device/hopper/hopper_device_instructions.hpp"
#else
#include "kernels/cuda/device/hopper/hopper_host_instructions.hpp"
#endif
