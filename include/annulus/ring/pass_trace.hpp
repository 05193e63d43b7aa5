#pragma once
// What a rank did when.

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/program.hpp"

namespace annulus {

enum class Activity {
  computes,  ///< with some queries and keys
  waits,     ///< with nothing to compute
  sends,     ///< from the start of a transfer until it is seen to be done
  receives,  ///< likewise
};

/// "computes", "waits" and so on.
[[nodiscard]] constexpr std::string_view name_of(Activity activity) {
  constexpr std::array<std::string_view, 4> names{"computes", "waits", "sends", "receives"};
  return names[static_cast<std::size_t>(activity)];
}

/// Seconds are those since the start of the pass on this rank: of the clock of the host on the CPU,
/// of the stream on a GPU.
struct TraceEvent {
  Activity activity{};
  std::size_t step = 0;  ///< of the program; the number of steps for what is due at its end
  double begin = 0;
  double end = 0;
  Item item{};      ///< what is sent or received, or the keys that are computed with
  int peer = -1;    ///< whom it is sent to or received from
  Index bytes = 0;  ///< that are sent or received
};

/// One pass.
struct PassTrace {
  Pass pass{};
  double start = 0;  ///< seconds of the steady clock of the host, whose ranks share it
  double seconds = 0;
  std::vector<TraceEvent> events{};  ///< in the order in which they ended
};

}  // namespace annulus
