// A build without cuBLAS.
#include "kernels/rulers/cublas.hpp"

namespace annulus::kernels::gpu {

std::unique_ptr<Cublas> open_cublas(std::shared_ptr<device::Stream>) {
  return nullptr;
}

std::string cublas_problem() {
  return "this build has no cuBLAS";
}

std::string cublas_version() {
  return {};
}

}  // namespace annulus::kernels::gpu
