#pragma once
// The instruction sets that kernels are compiled for. Include it before any header of Highway.

// The kernels hold vectors in arrays, so they need types whose size is known. SSSE3 machines
// without SSE4 take the scalar fallback.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

// Whether machines of the target at hand may have the dot product of bf16 pairs (AVX512_BF16).
#define ANNULUS_TARGET_HAS_BF16_DOT (HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3)
