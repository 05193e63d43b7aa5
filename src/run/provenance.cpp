#include "annulus/run/provenance.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "annulus/kernels/cores.hpp"

namespace annulus::run {
namespace {

/// Everybody's text, by rank. Collective.
std::vector<std::string> gather(comm::Communicator& communicator, const std::string& own) {
  std::vector<std::string> texts;
  for (const auto& bytes : communicator.all_gather(std::as_bytes(std::span(own)))) {
    texts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return texts;
}

/// As the system calls it; empty where it does not say.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return {};
}

/// Rising numbers, as in "0-3,8".
std::string ranges_text(const std::vector<int>& numbers) {
  std::string text;
  for (auto at = numbers.begin(); at != numbers.end();) {
    auto last = at;
    while (last + 1 != numbers.end() && *(last + 1) == *last + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", *at);
    if (last != at) text += fmt::format("-{}", *last);
    at = last + 1;
  }
  return text;
}

/// What the scheduler calls this job; empty without one.
std::string job_name() {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID"}) {
    if (const char* value = std::getenv(name)) return fmt::format("{}={}", name, value);
  }
  return {};
}

}  // namespace

results::Provenance provenance_of(Request request, comm::Communicator& ranks,
                                  comm::Communicator& files, const kernels::Kernel& kernel,
                                  int threads) {
  return {.command_line = std::move(request.command_line),
          .config = std::move(request.config),
          .mpi_library = files.library(),
          .transport = std::string(ranks.name()),
          .job = job_name(),
          .ranks = ranks.size(),
          .threads_per_rank = threads,
          .hosts = gather(ranks, host_name()),
          .cpus = gather(ranks, cpu_model()),
          .cores = gather(ranks, ranges_text(kernels::usable_cores())),
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
