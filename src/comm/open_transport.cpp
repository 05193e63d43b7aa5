#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "base/choices.hpp"

namespace annulus::comm {
namespace {

const Transport& find_transport(const std::string& text, const Job& job) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  std::vector<std::string> known{"auto"};
  for (const auto* transport : transports()) {
    known.push_back(transport->syntax());
    const bool may_be = colon == std::string::npos || !transport->argument.empty();
    if (transport->name == name && may_be) return *transport;
    if (text == "auto" && transport->automatic && transport->automatic(job)) return *transport;
  }
  throw InputError(fmt::format("unknown transport '{}'; expected {}", text,
                               choices({known.begin(), known.end()})));
}

}  // namespace

RankRunner open_transport(const std::string& text, const Job& job) {
  const auto& transport = find_transport(text, job);
  if (!transport.missing.empty()) {
    throw InputError(fmt::format("{} is not in this build; {}", transport.name, transport.missing));
  }
  if (transport.one_process && job.processes > 1) {
    throw InputError(
        fmt::format("{} runs in one process, and {} were started", text, job.processes));
  }
  if (job.watch.timeout && !transport.has_timeout) {
    throw InputError(fmt::format("{} has no --timeout; expected mpi", text));
  }
  const auto colon = text.find(':');
  return transport.open(colon == std::string::npos ? "" : std::string_view(text).substr(colon + 1),
                        job);
}

}  // namespace annulus::comm
