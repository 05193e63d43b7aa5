#include "annulus/measure/gemm.hpp"

#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <vector>

#include "annulus/base/index.hpp"
#include "base/blas_threads.hpp"

namespace annulus::measure {
namespace {

void multiply(int n, const float* a, const float* b, float* c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}
void multiply(int n, const double* a, const double* b, double* c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}

template <class T>
double measure(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  // As many operations for each thread whatever their number.
  const int n = 64 * static_cast<int>(std::lround(16 * std::cbrt(threads)));
  const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
  const std::vector<T> a(size, T{1});
  const std::vector<T> b(size, T{-1});
  std::vector<T> c(size);
  double least = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  for (int call = 0;
       call < 2 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds; ++call) {
    const auto start = Clock::now();
    multiply(n, a.data(), b.data(), c.data());
    least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return 2.0 * std::pow(n, 3) / least;
}

}  // namespace

double measure_gemm_flops(DataType type, int threads, double seconds) {
  if (!set_blas_threads(threads)) return std::numeric_limits<double>::quiet_NaN();
  return with_accumulator(type, [&]<class T>() { return measure<T>(threads, seconds); });
}

bool lacks_avx512(std::string_view kernels, bool core_has_avx512) {
  constexpr std::string_view with_avx512[] = {"SkylakeX", "Cooperlake", "Sapphirerapids"};
  return core_has_avx512 && std::ranges::find(with_avx512, kernels) == std::end(with_avx512);
}

std::string blas_name() {
#ifdef OPENBLAS_VERSION
  const std::string version = openblas_get_config();  // OpenBLAS 0.3.21 and how it was built
  const auto end = version.find(' ', version.find(' ') + 1);
  const std::string kernels = openblas_get_corename();
  std::string name = version.substr(0, end) + ' ' + kernels;
  // It may name the kernels of an older machine, which a ceiling should not be measured with
  // unsaid.
  const char* core_type = std::getenv("OPENBLAS_CORETYPE");
  if (core_type != nullptr) return name + " (OPENBLAS_CORETYPE=" + core_type + ")";
#if defined(__x86_64__)
  if (lacks_avx512(kernels, __builtin_cpu_supports("avx512f") != 0)) {
    return name + " (without this core's AVX-512: OPENBLAS_CORETYPE=SkylakeX uses it)";
  }
#endif
  return name;
#else
  return "CBLAS";
#endif
}

}  // namespace annulus::measure
