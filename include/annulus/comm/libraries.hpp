#pragma once
// Libraries of transports that are loaded where they are first asked for.

#include <string>

namespace annulus::comm {

/// The NCCL that this process has loaded: "2.28.9"; empty where there is none.
[[nodiscard]] std::string nccl_version();

/// Why there is none, or that the build has no NCCL. Empty where there is one.
[[nodiscard]] std::string nccl_problem();

}  // namespace annulus::comm
