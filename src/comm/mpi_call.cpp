#include "comm/mpi_call.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"

namespace annulus::comm {

void check_mpi(int code, const char* call, int rank, std::source_location location) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  throw CommunicationError(
      fmt::format("{} failed on rank {} with code {}: {} ({}:{})", call, rank, code,
                  std::string_view(text.data(), static_cast<std::size_t>(length)),
                  location.file_name(), location.line()),
      location);
}

}  // namespace annulus::comm
