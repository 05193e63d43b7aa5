#pragma once
// What CUDA returns becomes an exception.

#include <cuda_runtime_api.h>

#include <source_location>

namespace annulus::device {

/// Throws Error where `code` is not success: it names the call, the code and what CUDA says of it.
void check_cuda(cudaError_t code, const char* call,
                std::source_location location = std::source_location::current());

}  // namespace annulus::device
