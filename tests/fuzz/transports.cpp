// --transport, alone and among processes that a launcher started.
#include <string>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "fuzz/fuzz.hpp"

void annulus::fuzz::read(std::string_view text) {
  for (const int processes : {1, 3}) {
    const comm::Job job{.launched = processes > 1, .processes = processes, .start_mpi = [] {}};
    static_cast<void>(takes([&] {
      ensure(comm::open_transport(std::string(text), job) != nullptr, "a transport can be run");
    }));
  }
}
