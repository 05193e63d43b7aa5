#pragma once
// Ranks as test data: the same body on every transport.

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"

namespace annulus::comm {

/// Runs a body once per rank.
struct World {
  using Body = std::function<void(Communicator&)>;

  std::string name;
  std::function<void(const Body&)> run;

  friend std::ostream& operator<<(std::ostream& out, const World& world) {
    return out << world.name;
  }
};

/// The transports that need no launcher.
inline std::vector<World> local_worlds() {
  std::vector<World> worlds{{"self", [](const World::Body& body) {
                               SelfCommunicator communicator;
                               body(communicator);
                             }}};
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    worlds.push_back({"threads_" + std::to_string(ranks),
                      [ranks](const World::Body& body) { run_threads(ranks, body); }});
  }
  return worlds;
}

}  // namespace annulus::comm
