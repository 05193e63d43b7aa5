#include "simulate/network.hpp"

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <smpi/smpi.h>
#include <simgrid/s4u.hpp>

namespace annulus::simulate {
namespace {

namespace s4u = simgrid::s4u;
using simgrid::kernel::routing::NetPoint;

/// Computing is time that passes, at any speed.
constexpr double speed = 1e9;

/// The two directions of a link, from and to a rank or a node.
struct Pair {
  s4u::Link* up;
  s4u::Link* down;
};

Pair make_pair_of_links(s4u::NetZone& zone, const std::string& name, const LinkRate& rate) {
  const auto make = [&](const char* direction) {
    return zone.create_link(name + direction, rate.bandwidth)->set_latency(rate.latency)->seal();
  };
  return {make("-up"), make("-down")};
}

void add_route(s4u::NetZone& zone, NetPoint* from, NetPoint* to,
               const std::vector<s4u::Link*>& way) {
  zone.add_route(from, to, nullptr, nullptr, {way.begin(), way.end()}, false);
}

/// A node: ranks reach each other by their links inside, and a router, which is the node's way out,
/// by their own links to the outside.
class Node {
 public:
  Node(const Platform& platform, const s4u::NetZone& parent, Index number)
      : platform_(platform),
        name_(fmt::format("node-{}", number)),
        zone_(*s4u::create_full_zone(name_)) {
    zone_.set_parent(&parent);
    router_ = zone_.create_router(name_ + "-router");
    add_hosts();
    zone_.seal();
  }

  [[nodiscard]] std::pair<NetPoint*, NetPoint*> ends() const {
    return {zone_.get_netpoint(), router_};
  }
  /// Of its ranks.
  [[nodiscard]] const std::vector<s4u::Host*>& hosts() const { return hosts_; }

 private:
  s4u::Host* add_host(const std::string& name) {
    auto* host = zone_.create_host(name, speed)->seal();
    const auto [up, down] = make_pair_of_links(zone_, name + "-outside", platform_.outside);
    add_route(zone_, host->get_netpoint(), router_, {up});
    add_route(zone_, router_, host->get_netpoint(), {down});
    return host;
  }

  void add_hosts() {
    std::vector<Pair> inside;
    for (Index i = 0; i < platform_.ranks_per_node; ++i) {
      const auto name = fmt::format("{}-rank-{}", name_, i);
      hosts_.push_back(add_host(name));
      inside.push_back(make_pair_of_links(zone_, name + "-inside", platform_.inside));
    }
    for (std::size_t from = 0; from < hosts_.size(); ++from) {
      for (std::size_t to = 0; to < hosts_.size(); ++to) {
        if (from == to) continue;
        add_route(zone_, hosts_[from]->get_netpoint(), hosts_[to]->get_netpoint(),
                  {inside[from].up, inside[to].down});
      }
    }
  }

  const Platform& platform_;
  std::string name_;
  s4u::NetZone& zone_;
  NetPoint* router_ = nullptr;
  std::vector<s4u::Host*> hosts_;
};

/// Makes the network around nodes that `make_node` makes, one after the other. All its links have
/// the rails of a node.
class Network {
 public:
  using MakeNode = std::function<std::pair<NetPoint*, NetPoint*>(const s4u::NetZone& parent)>;

  Network(const Platform& platform, MakeNode make_node)
      : rate_{static_cast<double>(platform.ranks_per_node) * platform.outside.bandwidth,
              platform.hop_latency},
        make_node_(std::move(make_node)) {}

  void operator()(const Crossbar& network) const {
    auto* zone = s4u::create_star_zone("network");
    for (Index node = 0; node < network.nodes; ++node) {
      const auto [point, gateway] = make_node_(*zone);
      const auto [up, down] = make_pair_of_links(*zone, fmt::format("node-{}", node), rate_);
      zone->add_route(point, nullptr, gateway, nullptr, {s4u::LinkInRoute(up)}, false);
      zone->add_route(nullptr, point, nullptr, gateway, {s4u::LinkInRoute(down)}, false);
    }
    zone->seal();
  }

  void operator()(const FatTree& network) const {
    const s4u::FatTreeParams parameters(static_cast<unsigned>(network.down.size()),
                                        whole(network.down), whole(network.up),
                                        whole(network.links));
    s4u::create_fatTree_zone("network", nullptr, parameters, callbacks(), rate_.bandwidth,
                             rate_.latency, s4u::Link::SharingPolicy::SPLITDUPLEX)
        ->seal();
  }

  void operator()(const Dragonfly& network) const {
    const s4u::DragonflyParams parameters(pair(network.groups), pair(network.chassis),
                                          pair(network.routers),
                                          static_cast<unsigned>(network.nodes));
    s4u::create_dragonfly_zone("network", nullptr, parameters, callbacks(), rate_.bandwidth,
                               rate_.latency, s4u::Link::SharingPolicy::SPLITDUPLEX)
        ->seal();
  }

 private:
  static std::vector<unsigned> whole(const std::vector<Index>& numbers) {
    return {numbers.begin(), numbers.end()};
  }
  static std::pair<unsigned, unsigned> pair(const std::vector<Index>& numbers) {
    return {static_cast<unsigned>(numbers[0]), static_cast<unsigned>(numbers[1])};
  }
  [[nodiscard]] s4u::ClusterCallbacks callbacks() const {
    return s4u::ClusterCallbacks([this](s4u::NetZone* zone, const std::vector<unsigned long>&,
                                        unsigned long) { return make_node_(*zone); });
  }

  LinkRate rate_;
  MakeNode make_node_;
};

}  // namespace

// All that SimGrid and SMPI would otherwise take from a cluster of Gigabit Ethernet that they were
// calibrated on.
void configure(const Platform& platform) {
  smpi_init_options();  // makes the keys known
  const auto set = [](const char* key, const auto& value) {
    s4u::Engine::set_config(fmt::format("{}:{}", key, value));
  };
  set("network/model", "SMPI");
  // One part of the bandwidth and the latency of the links, whatever the size of a message.
  set("smpi/bw-factor", fmt::format("0:{}", platform.payload));
  set("smpi/lat-factor", "0:1");
  // Links share evenly, whatever the latency of a way (TCP alone would not), and acknowledgements
  // are part of what messages do not get.
  set("network/weight-S", 0);
  set("network/crosstraffic", "no");
  set("network/TCP-gamma", 0);
  // Asking for a message to be sent, and taking it in, keep a core busy.
  set("smpi/ois", fmt::format("0:0:{}", platform.busy_per_byte));
  set("smpi/or", fmt::format("0:0:{}", platform.busy_per_byte));
  // Up to eager_bytes, a message leaves at once; above, when both ends have asked for it.
  set("smpi/async-small-thresh", platform.eager_bytes);
  set("smpi/send-is-detached-thresh", platform.eager_bytes);
  // Collectives as Open MPI does them; SMPI's own have all ranks send to all at once. What comes
  // before a pass takes log P rounds: by default SMPI has nodes gather by rings of P ranks, P^2
  // messages to simulate for each communicator.
  set("smpi/coll-selector", "ompi");
  set("smpi/allgather", "bruck");
  set("smpi/bcast", "binomial_tree");
  // Kernels alone take time: no part of what this process computes does, and calls of MPI take none
  // on the host; but a rank that asks again and again has to let time pass.
  set("smpi/simulate-computation", "no");
  set("smpi/host-speed", fmt::format("{}f", speed));
  set("smpi/test", 0);
  set("smpi/wtime", 0);
  set("smpi/iprobe", 1e-6);
  set("smpi/grow-injected-times", "no");
  set("surf/precision", 1e-9);
}

std::vector<s4u::Host*> make_network(const Platform& platform) {
  std::vector<s4u::Host*> hosts;
  Index number = 0;
  const auto make_node = [&](const s4u::NetZone& parent) {
    const Node node(platform, parent, number++);
    hosts.insert(hosts.end(), node.hosts().begin(), node.hosts().end());
    return node.ends();
  };
  std::visit(Network(platform, make_node), platform.network);
  return hosts;
}

}  // namespace annulus::simulate
