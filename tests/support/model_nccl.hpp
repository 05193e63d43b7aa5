#pragma once
// NCCL without hardware: its functions over threads and the streams of model devices. An executable
// that has them uses them in place of the library's, also where the library is loaded.

#include <nccl.h>

#include <string>

namespace annulus::test {

/// How the model goes about what it may do in several ways.
struct NcclConditions {
  /// How many looks at a communicator find it in progress after each call.
  int looks_in_progress = 3;
  /// Whether ranks learn that another one has aborted: over a network they do, else they do not.
  bool tells_of_aborts = true;
};

/// What happens behind the program's back, and what it got wrong. The model is as unkind as NCCL
/// may be: nothing is on a stream before a communicator has been found at rest after the call; the
/// first message between two ranks is not, before both have asked for it; messages of a group go
/// together, and those of two groups do not; memory is read as late as possible; a new communicator
/// is not there before its parent is at rest.
class ModelNccl {
 public:
  /// Forgets what was before; no communicators are left.
  static void start(const NcclConditions& conditions = {});

  /// What `rank` has next is an asynchronous error, on each of its communicators.
  static void fail(int rank, ncclResult_t code);

  /// What NCCL does not allow, or leaves undefined, and the program did; empty if nothing.
  [[nodiscard]] static std::string misuse();
  /// Communicators that were neither destroyed nor aborted, and how many were aborted.
  [[nodiscard]] static int alive();
  [[nodiscard]] static int aborted();
  /// What ncclGetVersion tells, in words.
  [[nodiscard]] static std::string library();
  /// Communicators made so far, from an id and from another one.
  [[nodiscard]] static int made();
};

}  // namespace annulus::test
