#include "annulus/run/provenance.hpp"

#include <filesystem>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"

namespace annulus::run {
namespace {

std::vector<std::string> hosts_of(comm::Communicator& communicator) {
  const std::string name = host_name();
  std::vector<std::string> hosts;
  for (const auto& bytes : communicator.all_gather(std::as_bytes(std::span(name)))) {
    hosts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return hosts;
}

}  // namespace

results::Provenance provenance_of(Request request, comm::Communicator& ranks,
                                  comm::Communicator& files, const kernels::Kernel& kernel,
                                  int threads) {
  return {.command_line = std::move(request.command_line),
          .config = std::move(request.config),
          .mpi_library = files.library(),
          .ranks = ranks.size(),
          .threads_per_rank = threads,
          .hosts = hosts_of(ranks),
          .device = std::string(name_of(kernel.device())),
          .backend = std::string(kernel.name())};
}

void check_not_the_input(const std::string& input, const std::string& output) {
  std::error_code error;
  if (std::filesystem::equivalent(input, output, error)) {
    throw InputError(fmt::format("--output {}: is the input itself; name another file", output));
  }
}

}  // namespace annulus::run
