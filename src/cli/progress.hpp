#pragma once
// How far a long command has come, on a terminal.

#include <chrono>
#include <cstddef>
#include <optional>

#include "annulus/base/index.hpp"

namespace CLI {
class App;
}

namespace annulus::cli {

/// --progress.
struct ProgressOption {
  std::optional<bool> wanted;  // none: where there is a terminal

  void add_to(CLI::App& command);
  [[nodiscard]] bool shown() const;
};

/// One line on standard error, written over again: points done and time left.
class Progress {
 public:
  explicit Progress(bool shown) : shown_(shown) {}
  /// Ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` are there. The time left is judged by those done since the first call.
  void update(Index done, Index total);

 private:
  using Clock = std::chrono::steady_clock;

  bool shown_;
  bool begun_ = false;
  Index first_ = 0;
  std::size_t length_ = 0;  // of the line
  Clock::time_point start_;
  Clock::time_point written_;
};

}  // namespace annulus::cli
