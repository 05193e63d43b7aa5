#pragma once
// Ctrl-C ends a pass.

#include <chrono>

#include "annulus/kernels/kernel.hpp"
#include "python/bindings.hpp"

namespace annulus::python {

/// What a pass polls, without the GIL: some times a second it lets Python look at signals, whose
/// handlers may raise.
[[nodiscard]] inline kernels::Poll interrupts() {
  using Clock = std::chrono::steady_clock;
  return [last = Clock::now()]() mutable {
    const auto now = Clock::now();
    if (now - last < std::chrono::milliseconds(50)) return;
    last = now;
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  };
}

}  // namespace annulus::python
