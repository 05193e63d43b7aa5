// A build without NCCL.
#include "annulus/comm/libraries.hpp"

namespace annulus::comm {

std::string nccl_version() {
  return {};
}

std::string nccl_problem() {
  return "this build has no NCCL; build with -DANNULUS_NCCL=ON";
}

}  // namespace annulus::comm
