#pragma once
// The instructions of hopper_instructions.hpp as nvcc knows them: PTX for sm_90a. Included by that
// file alone.

#include <cstdint>
#include <type_traits>

namespace annulus::kernels::gpu {

/// By one thread.
ANNULUS_DEVICE void barrier_init(SharedOffset at, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(at)), "r"(arrivals)
               : "memory");
}

/// What comes by itself (the async proxy) knows of the barriers, too.
ANNULUS_DEVICE void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

ANNULUS_DEVICE void barrier_arrive(SharedOffset at) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(at))
               : "memory");
}

ANNULUS_DEVICE void barrier_arrive(SharedOffset at, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(
                   shared_address(at)),
               "r"(bytes)
               : "memory");
}

ANNULUS_DEVICE void barrier_arrive_after_copies(SharedOffset at) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(at))
               : "memory");
}

/// try_wait sleeps for a while by itself.
ANNULUS_DEVICE void barrier_wait(SharedOffset at, int parity) {
  asm volatile(
      "{\n.reg .pred over;\n"
      "again:\n"
      "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 over, [%0], %1;\n"
      "@!over bra again;\n}\n" ::"r"(shared_address(at)),
      "r"(parity)
      : "memory");
}

ANNULUS_DEVICE void load_tile(SharedOffset to, const TensorMap& map, BoxStart start,
                              SharedOffset barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
      "l"(&map), "r"(start.element), "r"(start.head), "r"(start.row), "r"(shared_address(barrier))
      : "memory");
}

ANNULUS_DEVICE void async_proxy_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

ANNULUS_DEVICE void async_proxy_fence_device() {
  asm volatile("fence.proxy.async.global;" ::: "memory");
}

ANNULUS_DEVICE void add_numbers(float* to, SharedOffset from, int bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(
                   __cvta_generic_to_global(to)),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
}

ANNULUS_DEVICE void add_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

template <int pending>
ANNULUS_DEVICE void add_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}

template <int pending>
ANNULUS_DEVICE void add_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(pending) : "memory");
}

/// The compiler knows nothing of products that are under way: it may move no access to their
/// registers across.
template <int blocks>
ANNULUS_DEVICE void hold(float (&registers)[blocks][4]) {
  ANNULUS_UNROLL
  for (int n = 0; n < blocks; ++n) {
    asm volatile(""
                 : "+f"(registers[n][0]), "+f"(registers[n][1]), "+f"(registers[n][2]),
                   "+f"(registers[n][3])::"memory");
  }
}
template <int blocks>
ANNULUS_DEVICE void hold(std::uint32_t (&registers)[blocks][4]) {
  ANNULUS_UNROLL
  for (int n = 0; n < blocks; ++n) {
    asm volatile(""
                 : "+r"(registers[n][0]), "+r"(registers[n][1]), "+r"(registers[n][2]),
                   "+r"(registers[n][3])::"memory");
  }
}

/// ptxas moves arithmetic over waits, but not over a branch: of the whole warp, for where lanes
/// might part it makes no descriptor once for all of them.
ANNULUS_DEVICE void compute_before(float number) {
  if (any(number < 0)) asm volatile("trap;");
}

/// Where one is not a number, so are all bits together, and no branch is taken.
template <int blocks>
ANNULUS_DEVICE void compute_before(const float (&numbers)[blocks][4]) {
  unsigned bits = 0;
  ANNULUS_UNROLL
  for (int n = 0; n < blocks; ++n) {
    ANNULUS_UNROLL
    for (int i = 0; i < 4; ++i) bits |= __float_as_uint(numbers[n][i]);
  }
  compute_before(__uint_as_float(bits));
}

template <class... Registers>
ANNULUS_DEVICE void wgmma_fence(Registers&... registers) {
  (hold(registers), ...);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

ANNULUS_DEVICE void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int pending, class... Registers>
ANNULUS_DEVICE void wgmma_wait(Registers&... registers) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
  (hold(registers), ...);
}

// One product each, for sums d of 32, 64, 128 or 256 columns and an element type as PTX calls it.
// The last numbers: factors of a and b (1), and whether their terms lie across rows: as `across`
// says for tiles, and for b where a is in registers.
#define ANNULUS_SUMS(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define ANNULUS_SUMS_4(n) \
  ANNULUS_SUMS(n), ANNULUS_SUMS(n + 1), ANNULUS_SUMS(n + 2), ANNULUS_SUMS(n + 3)

// clang-format off
#define ANNULUS_WGMMA_TILES_32(type, across)                                                       \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %18, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n32k16.f32." type "." type " {"                             \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "                    \
      "%16, %17, p, 1, 1, " across ", " across ";\n}\n"                                          \
      : ANNULUS_SUMS_4(0)                                                                          \
      : "l"(a), "l"(b), "r"(add))

#define ANNULUS_WGMMA_TILES_64(type, across)                                                       \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %34, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {"                             \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "          \
      "%32, %33, p, 1, 1, " across ", " across ";\n}\n"                                          \
      : ANNULUS_SUMS_4(0), ANNULUS_SUMS_4(4)                                                       \
      : "l"(a), "l"(b), "r"(add))

#define ANNULUS_WGMMA_TILES_128(type, across)                                                      \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %66, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {"                            \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "           \
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "           \
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "          \
      "%64, %65, p, 1, 1, " across ", " across ";\n}\n"                                          \
      : ANNULUS_SUMS_4(0), ANNULUS_SUMS_4(4), ANNULUS_SUMS_4(8), ANNULUS_SUMS_4(12)                \
      : "l"(a), "l"(b), "r"(add))

#define ANNULUS_WGMMA_ROWS_64(type)                                                                \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %37, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {"                             \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "          \
      "{%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"                                                \
      : ANNULUS_SUMS_4(0), ANNULUS_SUMS_4(4)                                                       \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add))

#define ANNULUS_WGMMA_ROWS_128(type)                                                               \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %69, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {"                            \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "           \
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "           \
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "          \
      "{%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}\n"                                                \
      : ANNULUS_SUMS_4(0), ANNULUS_SUMS_4(4), ANNULUS_SUMS_4(8), ANNULUS_SUMS_4(12)                \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add))

#define ANNULUS_WGMMA_ROWS_256(type)                                                               \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\n"                                                                         \
      "setp.ne.b32 p, %133, 0;\n"                                                                  \
      "wgmma.mma_async.sync.aligned.m64n256k16.f32." type "." type " {"                            \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "           \
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "           \
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "           \
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "           \
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "           \
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, " \
      "{%128, %129, %130, %131}, %132, p, 1, 1, 1;\n}\n"                                           \
      : ANNULUS_SUMS_4(0), ANNULUS_SUMS_4(4), ANNULUS_SUMS_4(8), ANNULUS_SUMS_4(12),               \
        ANNULUS_SUMS_4(16), ANNULUS_SUMS_4(20), ANNULUS_SUMS_4(24), ANNULUS_SUMS_4(28)             \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add))

// clang-format on

/// As PTX calls T.
#define ANNULUS_WGMMA(form, ...)               \
  if constexpr (std::is_same_v<T, BFloat16>) { \
    form("bf16" __VA_OPT__(, ) __VA_ARGS__);   \
  } else {                                     \
    static_assert(std::is_same_v<T, Float16>); \
    form("f16" __VA_OPT__(, ) __VA_ARGS__);    \
  }

template <class T, int blocks>
ANNULUS_DEVICE void wgmma(float (&d)[blocks][4], MatrixDescriptor a, MatrixDescriptor b,
                          bool adds) {
  static_assert(blocks == 4 || blocks == 8 || blocks == 16);
  const int add = static_cast<int>(adds);
  if constexpr (blocks == 4) {
    ANNULUS_WGMMA(ANNULUS_WGMMA_TILES_32, "0")
  } else if constexpr (blocks == 8) {
    ANNULUS_WGMMA(ANNULUS_WGMMA_TILES_64, "0")
  } else {
    ANNULUS_WGMMA(ANNULUS_WGMMA_TILES_128, "0")
  }
}

template <class T, int blocks>
ANNULUS_DEVICE void wgmma(float (&d)[blocks][4], std::uint32_t (&a)[4], MatrixDescriptor b,
                          bool adds) {
  static_assert(blocks == 8 || blocks == 16 || blocks == 32);
  const int add = static_cast<int>(adds);
  if constexpr (blocks == 8) {
    ANNULUS_WGMMA(ANNULUS_WGMMA_ROWS_64)
  } else if constexpr (blocks == 16) {
    ANNULUS_WGMMA(ANNULUS_WGMMA_ROWS_128)
  } else {
    ANNULUS_WGMMA(ANNULUS_WGMMA_ROWS_256)
  }
}

template <class T, int blocks>
ANNULUS_DEVICE void wgmma_across(float (&d)[blocks][4], MatrixDescriptor a, MatrixDescriptor b,
                                 bool adds) {
  static_assert(blocks == 8);
  const int add = static_cast<int>(adds);
  ANNULUS_WGMMA(ANNULUS_WGMMA_TILES_64, "1")
}

#undef ANNULUS_WGMMA
#undef ANNULUS_WGMMA_TILES_32
#undef ANNULUS_WGMMA_TILES_64
#undef ANNULUS_WGMMA_TILES_128
#undef ANNULUS_WGMMA_ROWS_64
#undef ANNULUS_WGMMA_ROWS_128
#undef ANNULUS_WGMMA_ROWS_256
#undef ANNULUS_SUMS
#undef ANNULUS_SUMS_4

/// What follows from it is then computed once for all lanes, and moved to no other registers before
/// products, which want their descriptors so.
ANNULUS_DEVICE int of_warp(int number) {
  return __shfl_sync(0xffffffffU, number, 0);
}

ANNULUS_DEVICE void named_barrier_sync(int id, int threads) {
  asm volatile("barrier.cta.sync.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

template <int registers>
ANNULUS_DEVICE void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

template <int registers>
ANNULUS_DEVICE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

ANNULUS_DEVICE void store_zeros(SharedOffset at) {
  *reinterpret_cast<uint4*>(shared_memory + at) = uint4{0, 0, 0, 0};
}

}  // namespace annulus::kernels::gpu
