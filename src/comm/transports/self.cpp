// self: one rank, this process.
#include "annulus/comm/self.hpp"

#include "annulus/comm/transport.hpp"

namespace annulus::comm::transport {

extern const Transport self{
    .name = "self",
    .description = "one rank alone",
    .one_process = true,
    .has_timeout = true,
    .automatic = [](const Job& job) { return !job.launched; },
    .open = [](std::string_view, const Job&) -> RankRunner {
      return [](const RankBody& body) {
        auto communicator = comm::self();
        return body(communicator, communicator);
      };
    },
};

}  // namespace annulus::comm::transport
