#pragma once
// How signals end this process.

namespace annulus::run {

/// From now on, signals that end the process remove its partial files first; and a file that grows
/// beyond the limit (ulimit -f) makes writing fail, as a full disk does.
void handle_signals();

}  // namespace annulus::run
