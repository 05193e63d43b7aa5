// The transports, in the order in which they are listed to users: one line each.
// clang-format off
#define ANNULUS_TRANSPORTS(transport) \
  transport(self)                     \
  transport(threads)                  \
  transport(mpi)                      \
  transport(nccl)
// clang-format on

#include <array>

#include "annulus/comm/transport.hpp"

namespace annulus::comm {
namespace transport {
#define ANNULUS_DECLARE(name) extern const Transport name;
ANNULUS_TRANSPORTS(ANNULUS_DECLARE)
}  // namespace transport

std::span<const Transport* const> transports() {
#define ANNULUS_ADDRESS(name) &transport::name,
  static constexpr std::array all{ANNULUS_TRANSPORTS(ANNULUS_ADDRESS)};
  return all;
}

}  // namespace annulus::comm
