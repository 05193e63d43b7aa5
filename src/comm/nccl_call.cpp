#include "comm/nccl_call.hpp"

#include <string_view>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/nccl_library.hpp"

namespace annulus::comm {

std::string nccl_message(ncclResult_t code, const char* call, int rank, ncclComm_t communicator) {
  const char* const last = nccl_functions().get_last_error(communicator);
  const std::string_view detail = last == nullptr ? "" : last;
  return fmt::format("{} failed on rank {} with code {}: {}{}{}", call, rank,
                     static_cast<int>(code), nccl_functions().get_error_string(code),
                     detail.empty() ? "" : ": ", detail);
}

void check_nccl(ncclResult_t code, const char* call, int rank, std::source_location location) {
  if (code != ncclSuccess)
    throw CommunicationError(nccl_message(code, call, rank, nullptr), location);
}

}  // namespace annulus::comm
