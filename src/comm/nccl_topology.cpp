#include "comm/nccl_topology.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/comm/nccl.hpp"

namespace annulus::comm {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<std::byte> this_host() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) throw Error("gethostname failed");
  // Hosts may share a name, as those of containers do.
  std::string started;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> started;
  return bytes_of(std::string(name.data()) + ' ' + started);
}

std::vector<int> nodes_of_hosts(const std::vector<std::vector<std::byte>>& hosts) {
  std::map<std::ptrdiff_t, int> number_of;  // by the lowest rank of the node
  std::vector<int> nodes;
  for (const auto& host : hosts) {
    const auto lowest = std::ranges::find(hosts, host) - hosts.begin();
    nodes.push_back(
        number_of.try_emplace(lowest, static_cast<int>(number_of.size())).first->second);
  }
  return nodes;
}

void check_gpus(const Topology& topology, const std::vector<std::string>& addresses) {
  for (int rank = 0; rank < topology.ranks; ++rank) {
    for (const int peer : peers_of(topology, rank)) {
      const auto& address = addresses[static_cast<std::size_t>(rank)];
      if (peer >= rank || addresses[static_cast<std::size_t>(peer)] != address) continue;
      throw InputError(fmt::format(
          "nccl: ranks {} and {} would share GPU {}; it takes a GPU for each rank, and threads:P "
          "puts several ranks on one",
          peer, rank, address));
    }
  }
}

Device nccl_device(Communicator& host) {
  Device device;
  std::string address;
  together(host, [&] {
    const auto gpus = visible_gpus();
    if (gpus.empty()) {
      throw InputError(
          fmt::format("nccl: there is no GPU for rank {}: {}", host.rank(), gpu_problem()));
    }
    const int place = place_on_node(host.topology(), host.rank());
    device = Device::cuda(place % static_cast<int>(gpus.size()));
    address = gpus[static_cast<std::size_t>(device.index)].address;
  });
  std::vector<std::string> addresses;
  for (const auto& bytes : host.all_gather(bytes_of(address))) {
    addresses.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  check_gpus(host.topology(), addresses);
  return device;
}

}  // namespace annulus::comm
