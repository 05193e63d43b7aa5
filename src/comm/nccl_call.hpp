#pragma once
// NCCL calls whose failures become Errors.

#include <nccl.h>

#include <source_location>
#include <string>

namespace annulus::comm {

/// What the user is told of a call that failed: the call, the rank, the code, what NCCL says of it,
/// and what it says of its last failure.
[[nodiscard]] std::string nccl_message(ncclResult_t code, const char* call, int rank,
                                       ncclComm_t communicator);

/// Throws Error with nccl_message unless `code` is ncclSuccess.
void check_nccl(ncclResult_t code, const char* call, int rank,
                std::source_location location = std::source_location::current());

}  // namespace annulus::comm
