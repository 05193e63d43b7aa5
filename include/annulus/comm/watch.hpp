#pragma once
// What a rank does while a peer keeps it waiting.

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace annulus::comm {

struct Watch {
  /// How long no message arrives and none leaves before `say` is told, once for a wait.
  std::chrono::seconds patience{10};
  /// How long before it is an Error; none: for ever.
  std::optional<std::chrono::seconds> timeout{};
  /// As in "rank 3 on host h2 has waited 10 s for rank 2 on host h1"; null: nobody watches.
  std::function<void(const std::string&)> say{};
};

}  // namespace annulus::comm
