#pragma once
// The backend for NVIDIA GPUs.

#include <string_view>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// Computes bf16, fp16 and fp32 inputs with d and d_v up to 256 on a stream of a GPU of compute
/// capability 8.0 or later; sums are fp32. bf16 and fp16 are multiplied by tensor cores, with
/// weights rounded to the type of the inputs; fp32 by fp32 multiply-adds, never tf32. Tensors lie
/// in memory of the device of PassOptions::stream; rows need no alignment, but those that do not
/// start at multiples of 16 bytes are copied first. Passes enqueue and return. Throws InputError in
/// a build without CUDA.
[[nodiscard]] const Kernel& cuda();

/// The instructions that its kernels of attention and gradients are made of: "mma", or "hopper"
/// where the environment variable ANNULUS_CUDA asks for those of compute capability 9.0. Throws
/// InputError for any other value of it.
[[nodiscard]] std::string_view cuda_instructions();

}  // namespace annulus::kernels
