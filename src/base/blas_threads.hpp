#pragma once
// How many threads BLAS uses: for files of libraries that link it.

#include <cblas.h>

namespace annulus {

/// Returns whether the library can be told, which only OpenBLAS can.
inline bool set_blas_threads([[maybe_unused]] int threads) {
#ifdef OPENBLAS_VERSION
  openblas_set_num_threads(threads);
  return true;
#else
  return false;
#endif
}

}  // namespace annulus
