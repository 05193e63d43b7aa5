#pragma once
// The instructions that kernels are made of. Everything above this file is plain C++ that knows
// neither PTX nor built-in variables, so that the same source runs on a GPU and, thread by thread,
// in the model of a thread block that the tests have (tests/kernels/cuda/block_model.hpp).
//
//   thread_index() block_x() block_y()   where this thread stands
//   thread_index_anew()                  the same, asked again: what follows from it is made again,
//                                        and holds no registers meanwhile
//   sync_threads()                       all threads of the block arrive; shared memory is seen
//   sync_warp()                          all lanes arrive; no access to memory moves across
//   any(flag)                            whether it is set in some lane of the warp
//   shuffle(x, lane), shuffle_xor(x, m)  x of another lane
//   mma_m16n8k16<T>(c, a, b)             c += a b, 16-bit operands, fp32 sums, fragments as in PTX
//   ldmatrix_x4(r, at), ldmatrix_x4_trans(r, at)   four 8 x 8 matrices of 16-bit elements
//   cp_async<size>(to, from, bytes)      global to shared; bytes past the first `bytes` become 0
//   cp_async_commit(), cp_async_wait<n>()   close a group; wait until at most n groups are pending
//   load_shared<V>(at)                   a vector of shared memory
//   store_shared(at, value)              a word or a vector of shared memory
//   add_global(to, x)                    to += x in device memory, where others may add as well
//   take_ticket(tickets)                 adds 1 to a number of device memory: what it was before
//   look_at(count), raise(count)         a count in device memory; adds 1 to it
//   wait_for(count, n)                   until a count is n or more
//   fence_device()                       what this thread did and knows comes before what follows:
//                                        who sees a count that it raises then also sees that
//   pack<T>(low, high)                   two floats, rounded to T, as one register
//   exp2_approximate(x)                  2^x, relative error a few 2^-23; 0 for -inf
//   rounded_product(x, y)                never part of a multiply-add, as x * y may become
//
// mma, ldmatrix, shuffles, any(), wait_for() and sync_warp() are for whole warps: every lane takes
// part.

#include "annulus/base/half.hpp"
#include "kernels/cuda/device/machine.hpp"

#ifdef __CUDACC__
#include "kernels/cuda/device/device_instructions.hpp"
#else
#include "kernels/cuda/device/host_instructions.hpp"
#endif

namespace annulus::kernels::gpu {

ANNULUS_DEVICE int warp_index() {
  return thread_index() / warp_lanes;
}

ANNULUS_DEVICE int lane_index() {
  return thread_index() % warp_lanes;
}

ANNULUS_DEVICE int lane_index_anew() {
  return thread_index_anew() % warp_lanes;
}

inline constexpr float log2_e = 1.44269504088896340736F;

/// e^x for x <= 0. Everything that outlives an expression is in base e (logits, maxima, lse); base
/// 2 is only how the hardware raises a power.
ANNULUS_DEVICE float exp_approximate(float x) {
  return exp2_approximate(x * log2_e);
}

}  // namespace annulus::kernels::gpu
