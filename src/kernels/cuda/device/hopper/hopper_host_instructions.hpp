#pragma once
// The instructions of hopper_instructions.hpp, declared; tests/kernels/cuda/hopper_model.cpp
// defines them over the model of a thread block. Included by hopper_instructions.hpp alone.

#include <span>

namespace annulus::kernels::gpu {

void barrier_init(SharedOffset at, int arrivals);
void barrier_init_fence();
void barrier_arrive(SharedOffset at);
void barrier_arrive(SharedOffset at, int bytes);
void barrier_arrive_after_copies(SharedOffset at);
void barrier_wait(SharedOffset at, int parity);

void load_tile(SharedOffset to, const TensorMap& map, BoxStart start, SharedOffset barrier);
void async_proxy_fence();
void async_proxy_fence_device();

void add_numbers(float* to, SharedOffset from, int bytes);
void add_commit();
void add_wait_read_for(int pending);
void add_wait_for(int pending);

template <int pending>
void add_wait_read() {
  add_wait_read_for(pending);
}

template <int pending>
void add_wait() {
  add_wait_for(pending);
}

/// A place in shared memory as products are given it.
std::uint32_t shared_address(SharedOffset at);

void wgmma_fence_of_warp();
void wgmma_commit();
void wgmma_wait_for(int pending);

inline void compute_before(float /*number*/) {}
template <int blocks>
void compute_before(const float (&/*numbers*/)[blocks][4]) {}

template <class... Registers>
void wgmma_fence(Registers&... /*registers*/) {
  wgmma_fence_of_warp();
}

template <int pending, class... Registers>
void wgmma_wait(Registers&... /*registers*/) {
  wgmma_wait_for(pending);
}

/// The model looks at `d` and, where they are registers, `a` when the product ends as well.
/// Defined for BFloat16 and Float16.
template <class T>
void wgmma_of_tiles(std::span<float> d, MatrixDescriptor a, MatrixDescriptor b, bool across,
                    bool adds);
template <class T>
void wgmma_of_rows(std::span<float> d, std::span<std::uint32_t, 4> a, MatrixDescriptor b,
                   bool adds);

template <class T, int blocks>
void wgmma(float (&d)[blocks][4], MatrixDescriptor a, MatrixDescriptor b, bool adds) {
  wgmma_of_tiles<T>({&d[0][0], 4 * blocks}, a, b, false, adds);
}

template <class T, int blocks>
void wgmma_across(float (&d)[blocks][4], MatrixDescriptor a, MatrixDescriptor b, bool adds) {
  wgmma_of_tiles<T>({&d[0][0], 4 * blocks}, a, b, true, adds);
}

template <class T, int blocks>
void wgmma(float (&d)[blocks][4], std::uint32_t (&a)[4], MatrixDescriptor b, bool adds) {
  wgmma_of_rows<T>({&d[0][0], 4 * blocks}, a, b, adds);
}

int of_warp(int number);
void named_barrier_sync(int id, int threads);

void give_registers_down_to(int registers);
void take_registers_up_to(int registers);

template <int registers>
void give_registers() {
  give_registers_down_to(registers);
}

template <int registers>
void take_registers() {
  take_registers_up_to(registers);
}

void store_zeros(SharedOffset at);

}  // namespace annulus::kernels::gpu
