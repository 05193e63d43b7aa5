#pragma once
// The instructions as a CPU runs them. They are only declared here: tests/kernels/block_model.cpp
// defines them over a model of a thread block, and says what that model can and cannot show. No
// library of the project contains kernels in this form. Included by instructions.hpp alone.

#include <cstdint>

#include "annulus/base/half.hpp"
#include "kernels/cuda/device/machine.hpp"

#define ANNULUS_DEVICE inline
#define ANNULUS_UNROLL
#define ANNULUS_NO_UNROLL

namespace annulus::kernels::gpu {

int thread_index();
inline int thread_index_anew() {
  return thread_index();
}
int block_x();
int block_y();

void sync_threads();
void sync_warp();
bool any(bool flag);
float shuffle(float value, int lane);
float shuffle_xor(float value, int mask);

/// Defined for BFloat16 and Float16.
template <class T>
void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

void ldmatrix_x4(std::uint32_t (&r)[4], SharedOffset at);
void ldmatrix_x4_trans(std::uint32_t (&r)[4], SharedOffset at);

void cp_async_bytes(SharedOffset to, const void* from, int bytes, int size);
void cp_async_commit();
void cp_async_wait_for(int pending);

template <int size>
void cp_async(SharedOffset to, const void* from, int bytes) {
  static_assert(size == 16 || size == 4);
  cp_async_bytes(to, from, bytes, size);
}

template <int pending>
void cp_async_wait() {
  cp_async_wait_for(pending);
}

/// `size` bytes of shared memory that are aligned to `size`.
const void* shared_bytes(SharedOffset at, int size);

template <class V>
V load_shared(SharedOffset at) {
  return *static_cast<const V*>(shared_bytes(at, static_cast<int>(sizeof(V))));
}

/// `size`: of the value, which is aligned to it.
void store_shared_bytes(SharedOffset at, const void* value, int size);

template <class V>
void store_shared(SharedOffset at, const V& value) {
  store_shared_bytes(at, &value, static_cast<int>(sizeof(V)));
}

void add_global(float* to, float x);
std::uint32_t take_ticket(std::uint32_t* tickets);
std::uint32_t look_at(const std::uint32_t* count);
void raise(std::uint32_t* count);
void wait_for(const std::uint32_t* count, std::uint32_t wanted);
void fence_device();

/// Defined for BFloat16 and Float16.
template <class T>
std::uint32_t pack(float low, float high);

float exp2_approximate(float x);

float rounded_product(float x, float y);

}  // namespace annulus::kernels::gpu
