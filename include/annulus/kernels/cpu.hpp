#pragma once
// The fast backend for CPUs.

#include <string>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// The cpu backend: fp64, fp32 and 16-bit inputs, vector instructions chosen at run time, OpenMP
/// over heads and query tiles.
[[nodiscard]] const Kernel& cpu();

/// The vector instruction set in use, such as AVX3_ZEN4 or AVX2.
[[nodiscard]] std::string simd_target();

/// Whether bf16 inputs are multiplied as they are, by the CPU's dot product of pairs of bf16
/// (AVX512_BF16): where the machine has it, and it was measured to be faster than fp32 when this
/// was first asked, or as the environment variable ANNULUS_BF16 (auto, amx, dot or widen) says.
/// Elsewhere they are widened to fp32. Throws InputError for a value that cannot be honoured.
[[nodiscard]] bool multiplies_bf16();

/// Whether backward passes, and forward passes over more than few queries, multiply them as they
/// are by the tile registers of AMX instead, where these are the fastest, or are asked for.
[[nodiscard]] bool multiplies_bf16_tiles();

/// The same in words, with what was measured.
[[nodiscard]] std::string bf16_products();

/// FLOP/s of a loop of independent fused multiply-adds on `threads` threads, measured for about
/// `seconds`: the ceiling that kernels are compared with. For bf16, of what passes multiply with:
/// tiles, pairs, or fp32.
[[nodiscard]] double measure_peak_flops(DataType type, int threads, double seconds = 0.2);

/// Seconds that the core of the calling thread takes for a chain of operations that wait for each
/// other, right after such multiply-adds on `threads` threads: the clock that it has under them, in
/// a unit that is of use beside the same chain elsewhere.
[[nodiscard]] double measure_chain_under_peak(DataType type, int threads);

/// Bytes that `threads` threads together read in a second from memory that no cache holds, measured
/// for about `seconds`: the ceiling of decode.
[[nodiscard]] double measure_read_bandwidth(int threads, double seconds = 0.2);

}  // namespace annulus::kernels
