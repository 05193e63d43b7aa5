#pragma once
// The instructions as nvcc knows them: PTX for compute capability 8.0 and later. Included by
// instructions.hpp alone.

#include <cstdint>

#include "annulus/base/half.hpp"
#include "kernels/cuda/device/machine.hpp"

#define ANNULUS_DEVICE __device__ __forceinline__
#define ANNULUS_UNROLL _Pragma("unroll")
#define ANNULUS_NO_UNROLL _Pragma("unroll 1")

namespace annulus::kernels::gpu {

ANNULUS_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}

ANNULUS_DEVICE int thread_index_anew() {
  int index;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
  // As the compiler knows of threadIdx: quotients are then shifts.
  __builtin_assume(index >= 0 && index < 1024);
  return index;
}

ANNULUS_DEVICE int block_x() {
  return static_cast<int>(blockIdx.x);
}

ANNULUS_DEVICE int block_y() {
  return static_cast<int>(blockIdx.y);
}

ANNULUS_DEVICE void sync_threads() {
  __syncthreads();
}

ANNULUS_DEVICE void sync_warp() {
  __syncwarp();
}

ANNULUS_DEVICE bool any(bool flag) {
  return __any_sync(0xffffffffU, static_cast<int>(flag)) != 0;
}

ANNULUS_DEVICE float shuffle(float value, int lane) {
  return __shfl_sync(0xffffffffU, value, lane);
}

ANNULUS_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}

extern __shared__ __align__(1024) unsigned char shared_memory[];

/// The address that PTX knows a place in shared memory by.
ANNULUS_DEVICE std::uint32_t shared_address(SharedOffset at) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory)) + at;
}

template <class V>
ANNULUS_DEVICE V load_shared(SharedOffset at) {
  return *reinterpret_cast<const V*>(shared_memory + at);
}

template <class V>
ANNULUS_DEVICE void store_shared(SharedOffset at, const V& value) {
  *reinterpret_cast<V*>(shared_memory + at) = value;
}

ANNULUS_DEVICE void add_global(float* to, float x) {
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(__cvta_generic_to_global(to)),
               "f"(x)
               : "memory");
}

ANNULUS_DEVICE std::uint32_t take_ticket(std::uint32_t* tickets) {
  return atomicAdd(tickets, 1U);
}

ANNULUS_DEVICE std::uint32_t look_at(const std::uint32_t* count) {
  std::uint32_t seen;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];"
               : "=r"(seen)
               : "l"(__cvta_generic_to_global(count))
               : "memory");
  return seen;
}

ANNULUS_DEVICE void raise(std::uint32_t* count) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(__cvta_generic_to_global(count))
               : "memory");
}

ANNULUS_DEVICE void wait_for(const std::uint32_t* count, std::uint32_t wanted) {
  // The multiprocessor has other warps to run meanwhile.
  while (any(look_at(count) < wanted)) __nanosleep(40);
}

ANNULUS_DEVICE void fence_device() {
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

template <class T>
ANNULUS_DEVICE void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4],
                                 const std::uint32_t (&b)[2]);

template <>
ANNULUS_DEVICE void mma_m16n8k16<BFloat16>(float (&c)[4], const std::uint32_t (&a)[4],
                                           const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
ANNULUS_DEVICE void mma_m16n8k16<Float16>(float (&c)[4], const std::uint32_t (&a)[4],
                                          const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

ANNULUS_DEVICE void ldmatrix_x4(std::uint32_t (&r)[4], SharedOffset at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(at))
               : "memory");
}

ANNULUS_DEVICE void ldmatrix_x4_trans(std::uint32_t (&r)[4], SharedOffset at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(at))
               : "memory");
}

/// Whole chunks of 16 bytes go past the first-level cache, single numbers through it.
template <int size>
ANNULUS_DEVICE void cp_async(SharedOffset to, const void* from, int bytes) {
  static_assert(size == 16 || size == 4);
  const auto source = __cvta_generic_to_global(from);
  if constexpr (size == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(source), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)),
                 "l"(source), "r"(bytes)
                 : "memory");
  }
}

ANNULUS_DEVICE void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int pending>
ANNULUS_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

template <class T>
ANNULUS_DEVICE std::uint32_t pack(float low, float high);

template <>
ANNULUS_DEVICE std::uint32_t pack<BFloat16>(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

template <>
ANNULUS_DEVICE std::uint32_t pack<Float16>(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

ANNULUS_DEVICE float exp2_approximate(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

ANNULUS_DEVICE float rounded_product(float x, float y) {
  return __fmul_rn(x, y);
}

}  // namespace annulus::kernels::gpu
