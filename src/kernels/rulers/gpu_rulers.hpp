#pragma once
// What a GPU can do besides attention, to compare with. Needs no CUDA headers.

#include <map>
#include <memory>
#include <string>

#include "annulus/base/data_type.hpp"
#include "annulus/device/buffer.hpp"
#include "kernels/rulers/cublas.hpp"

namespace annulus::kernels::gpu {

/// Ceilings of the GPU of a stream, whose clock they are measured by: between events around single
/// products and copies, the fastest of those made in some time.
class GpuRulers {
 public:
  explicit GpuRulers(std::shared_ptr<device::Stream> stream);

  /// FLOP/s of a product of square matrices of 8192 rows of random numbers by cuBLAS, as
  /// Cublas::multiply makes it, in about `seconds`, at least two. NaN without cuBLAS and for fp64.
  [[nodiscard]] double gemm_flops(DataType type, double seconds);

  /// Bytes read and written a second by a copy within the memory of the device of more than its
  /// caches hold, in about `seconds`, at least two.
  [[nodiscard]] double copy_bytes(double seconds);

 private:
  std::shared_ptr<device::Stream> stream_;
  std::unique_ptr<Cublas> cublas_;
  std::map<DataType, device::Buffer> factors_;  // a matrix of each type, multiplied with itself
};

/// What the product is by: `cuBLAS 13.1.0`, or `no cuBLAS (REASON)`.
[[nodiscard]] std::string gpu_blas_name();

}  // namespace annulus::kernels::gpu
