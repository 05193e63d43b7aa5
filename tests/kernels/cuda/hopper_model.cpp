// The instructions of hopper_instructions.hpp over the model of a thread block.
#include <bit>
#include <cstring>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block.hpp"
#include "kernels/cuda/device/hopper/hopper_instructions.hpp"
#include "kernels/cuda/hopper_model.hpp"

namespace annulus::test {

using kernels::gpu::TensorMap;
using kernels::gpu::TileMap;

static_assert(sizeof(TileMap) <= sizeof(TensorMap) && std::is_trivially_copyable_v<TileMap>);

/// What cuTensorMapEncodeTiled refuses (CUDA driver API, "Tensor Map Object Management") is an
/// error.
TensorMap encode_for_model(const TileMap& map) {
  const auto is_extent = [](Index n) { return n >= 1 && n <= Index{1} << 32; };
  const auto is_stride = [](Index n) { return n >= 1 && n % 16 == 0 && n < Index{1} << 40; };
  const auto is_box = [](int n) { return n >= 1 && n <= 256; };
  ensure(map.data != nullptr && std::bit_cast<std::uintptr_t>(map.data) % 16 == 0,
         "the tensor of a map begins at a multiple of 16 bytes");
  ensure(is_extent(map.dim) && is_extent(map.heads) && is_extent(map.rows),
         "the tensor of a map has between 1 and 2^32 of everything");
  ensure(is_stride(map.head_stride_bytes) && is_stride(map.row_stride_bytes),
         "strides of a map are multiples of 16 bytes");
  ensure(is_box(map.box_heads) && is_box(map.box_rows), "a box has at most 256 of everything");
  TensorMap words;
  std::memcpy(words.words, &map, sizeof(map));
  return words;
}

}  // namespace annulus::test

namespace annulus::kernels::gpu {

using test::AsyncMemory;
using test::Calls;
using test::Meeting;
using test::this_block;

void barrier_init(SharedOffset at, int arrivals) {
  this_block().async.init_barrier(at, arrivals, this_block().running);
}

void barrier_init_fence() {
  this_block().async.fence_barriers(this_block().running);
}

void barrier_arrive(SharedOffset at) {
  this_block().async.arrive(at, 0, this_block().warp_of_thread());
}

void barrier_arrive(SharedOffset at, int bytes) {
  this_block().async.arrive(at, bytes, this_block().warp_of_thread());
}

/// At once, with the copies.
void barrier_arrive_after_copies(SharedOffset at) {
  cp_async_commit();
  cp_async_wait_for(0);
  barrier_arrive(at);
}

void barrier_wait(SharedOffset at, int parity) {
  auto& block = this_block();
  block.meet_and_wait(
      Meeting::barrier_wait, [] {}, [&] { return block.async.is_over(at, parity); },
      [&] { block.async.see(at, block.warp_of_thread()); });
}

void load_tile(SharedOffset to, const TensorMap& map, BoxStart start, SharedOffset barrier) {
  TileMap tile;
  std::memcpy(&tile, map.words, sizeof(tile));
  this_block().async.load_tile(to, tile, start, barrier);
}

void async_proxy_fence() {
  this_block().async.fence(this_block().running);
}

void async_proxy_fence_device() {
  this_block().additions().fence_additions(this_block().thread_of_all());
}

void add_numbers(float* to, SharedOffset from, int bytes) {
  auto& block = this_block();
  block.bulk_additions.start(block.running, block.thread_of_all(), to, from, bytes, block.async,
                             block.additions());
}

void add_commit() {
  this_block().bulk_additions.commit(this_block().running);
}

void add_wait_read_for(int pending) {
  auto& block = this_block();
  block.let_others_run();
  block.bulk_additions.wait_read(block.running, static_cast<std::size_t>(pending), block.async);
}

void add_wait_for(int pending) {
  auto& block = this_block();
  block.let_others_run();
  block.bulk_additions.wait(block.running, static_cast<std::size_t>(pending), block.async,
                            block.additions());
}

void store_zeros(SharedOffset at) {
  store_shared(at, Vector<4>{});
}

std::uint32_t shared_address(SharedOffset at) {
  return AsyncMemory::base + at;
}

void wgmma_fence_of_warp() {
  this_block().meet(Meeting::product_fence, nullptr,
                    [](Calls) { this_block().warp().products.fence(); });
}

void wgmma_commit() {
  this_block().meet(Meeting::product_commit, nullptr,
                    [](Calls) { this_block().warp().products.commit(); });
}

void wgmma_wait_for(int pending) {
  this_block().meet(Meeting::product_wait, nullptr, [pending](Calls) {
    auto& block = this_block();
    block.let_others_run();
    block.warp().products.wait(static_cast<std::size_t>(pending), block.async,
                               block.warp_of_thread());
  });
}

namespace {

struct ProductCall {
  test::ProductShape shape;
  test::ProductRegisters registers;
};

void start_product(ProductCall call) {
  this_block().meet(Meeting::product, &call, [](Calls calls) {
    auto& block = this_block();
    const auto& first = static_cast<ProductCall*>(calls[0])->shape;
    test::WarpProducts::Registers registers;
    for (std::size_t lane = 0; lane < calls.size(); ++lane) {
      const auto& one = *static_cast<ProductCall*>(calls[lane]);
      ensure(one.shape == first, "the lanes of a warp start different products");
      registers[lane] = one.registers;
    }
    const int warp = block.warp_of_thread();
    block.warp().products.start(first, registers, block.async, warp,
                                block.product_logs[static_cast<std::size_t>(warp / 4)]);
  });
}

template <class T>
constexpr bool is_bfloat16 = std::is_same_v<T, BFloat16>;

}  // namespace

template <class T>
void wgmma_of_tiles(std::span<float> d, MatrixDescriptor a, MatrixDescriptor b, bool across,
                    bool adds) {
  start_product({.shape = {.columns = static_cast<int>(d.size()) * 2,
                           .a = a,
                           .a_across = across,
                           .b = b,
                           .b_across = across,
                           .adds = adds,
                           .is_bfloat16 = is_bfloat16<T>},
                 .registers = {.sums = d}});
}

template <class T>
void wgmma_of_rows(std::span<float> d, std::span<std::uint32_t, 4> a, MatrixDescriptor b,
                   bool adds) {
  start_product({.shape = {.columns = static_cast<int>(d.size()) * 2,
                           .a_in_registers = true,
                           .b = b,
                           .b_across = true,
                           .adds = adds,
                           .is_bfloat16 = is_bfloat16<T>},
                 .registers = {.sums = d, .a = a}});
}

template void wgmma_of_tiles<BFloat16>(std::span<float>, MatrixDescriptor, MatrixDescriptor, bool,
                                       bool);
template void wgmma_of_tiles<Float16>(std::span<float>, MatrixDescriptor, MatrixDescriptor, bool,
                                      bool);
template void wgmma_of_rows<BFloat16>(std::span<float>, std::span<std::uint32_t, 4>,
                                      MatrixDescriptor, bool);
template void wgmma_of_rows<Float16>(std::span<float>, std::span<std::uint32_t, 4>,
                                     MatrixDescriptor, bool);

int of_warp(int number) {
  this_block().meet(Meeting::shuffle, &number, [](Calls calls) {
    const auto number_of = [&](std::size_t lane) { return *static_cast<int*>(calls[lane]); };
    for (std::size_t lane = 1; lane < calls.size(); ++lane) {
      ensure(number_of(lane) == number_of(0), "the lanes of a warp have different numbers");
    }
  });
  return number;
}

void named_barrier_sync(int id, int threads) {
  this_block().sync(id, threads);
}

void give_registers_down_to(int registers) {
  this_block().give_registers(registers);
}

void take_registers_up_to(int registers) {
  this_block().take_registers(registers);
}

}  // namespace annulus::kernels::gpu
