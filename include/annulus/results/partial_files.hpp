#pragma once
// What a process that ends must take along.

namespace annulus::results {

/// Removes the files that this process has begun and not put under their names. May be called by a
/// handler of signals, after which the process ends: what is under way fails.
void remove_partial_files() noexcept;

}  // namespace annulus::results
