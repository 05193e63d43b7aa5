#pragma once
// Dense products by BLAS, a ruler that everybody knows.

#include <string>
#include <string_view>

#include "annulus/base/data_type.hpp"

namespace annulus::measure {

/// FLOP/s of the best of the sgemm or dgemm (for fp64) calls made in about `seconds`, at least two,
/// of square matrices large enough for `threads` threads. NaN where BLAS cannot be told how many
/// threads to use, as with CBLAS libraries other than OpenBLAS.
[[nodiscard]] double measure_gemm_flops(DataType type, int threads, double seconds);

/// The BLAS library and the kernels that it chose, such as `OpenBLAS 0.3.21 SkylakeX`, with what
/// makes them a low ceiling; `CBLAS` where it does not say.
[[nodiscard]] std::string blas_name();

/// Whether a core with AVX-512 has been given kernels without: an OpenBLAS that is older than the
/// core takes general ones. `kernels`: as OpenBLAS names them.
[[nodiscard]] bool lacks_avx512(std::string_view kernels, bool core_has_avx512);

}  // namespace annulus::measure
