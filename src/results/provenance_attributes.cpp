#include "results/provenance_attributes.hpp"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "annulus/base/build.hpp"
#include "results/h5/attribute.hpp"

namespace annulus::results {

std::string time_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

void write_provenance(hid_t root, const Provenance& provenance, const std::string& started_at) {
  h5::write_attribute(root, "annulus_version", std::string(version()));
  h5::write_attribute(root, "git_commit", std::string(git_commit()));
  h5::write_attribute(root, "command_line", provenance.command_line);
  h5::write_attribute(root, "config", provenance.config);
  h5::write_attribute(root, "started_at", started_at);
  h5::write_attribute(root, "finished_at", std::string());
  h5::write_attribute(root, "mpi_library", provenance.mpi_library);
  h5::write_attribute(root, "transport", provenance.transport);
  h5::write_attribute(root, "job", provenance.job);
  h5::write_attribute(root, "ranks", Index{provenance.ranks});
  h5::write_attribute(root, "threads_per_rank", Index{provenance.threads_per_rank});
  h5::write_attribute(root, "hosts", provenance.hosts);
  h5::write_attribute(root, "cpus", provenance.cpus);
  h5::write_attribute(root, "cores", provenance.cores);
  h5::write_attribute(root, "device", provenance.device);
  h5::write_attribute(root, "backend", provenance.backend);
  h5::write_attribute(root, "complete", Index{0});
}

void write_completion(hid_t root) {
  h5::write_attribute(root, "finished_at", time_now());
  h5::write_attribute(root, "complete", Index{1});
}

}  // namespace annulus::results
