#include "results/resumption.hpp"

#include <string>

#include <nlohmann/json.hpp>

#include "annulus/base/build.hpp"
#include "results/h5/attribute.hpp"
#include "results/provenance_attributes.hpp"

namespace annulus::results {
namespace {

constexpr const char* attribute_name = "resumptions";

}  // namespace

Index resumptions_of(hid_t root) {
  return h5::has_attribute(root, attribute_name)
             ? static_cast<Index>(h5::read_texts(root, attribute_name).size())
             : 0;
}

void add_resumption(hid_t root, const Provenance& provenance, Index finished_points) {
  std::vector<std::string> records;
  if (h5::has_attribute(root, attribute_name)) records = h5::read_texts(root, attribute_name);
  const nlohmann::ordered_json record = {{"annulus_version", std::string(version())},
                                         {"git_commit", std::string(git_commit())},
                                         {"command_line", provenance.command_line},
                                         {"started_at", time_now()},
                                         {"mpi_library", provenance.mpi_library},
                                         {"transport", provenance.transport},
                                         {"job", provenance.job},
                                         {"ranks", provenance.ranks},
                                         {"threads_per_rank", provenance.threads_per_rank},
                                         {"hosts", provenance.hosts},
                                         {"cpus", provenance.cpus},
                                         {"cores", provenance.cores},
                                         {"device", provenance.device},
                                         {"backend", provenance.backend},
                                         {"finished_points", finished_points}};
  records.push_back(record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  h5::write_attribute(root, attribute_name, records);
}

}  // namespace annulus::results
