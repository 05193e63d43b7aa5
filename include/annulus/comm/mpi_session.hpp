#pragma once
// MPI from its start to its end. Only in builds with MPI.

#include <exception>
#include <string_view>

namespace annulus::comm {

/// Initialises MPI for a process, whether a launcher started it or not, and finalises it. One per
/// process, outside the `try` block of main, whose handlers report what they caught and then call
/// abort(): a rank that fails alone must end the job, because the others wait for it.
class MpiSession {
 public:
  /// Asks for MPI_THREAD_FUNNELED. Throws Error where the library offers less.
  MpiSession(int* argc, char*** argv);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  /// Finalises MPI. Where an exception passes, which finalising could make wait for ever, it ends
  /// the job with code 1.
  ~MpiSession();

  /// The level the library provides: FUNNELED, SERIALIZED or MULTIPLE.
  [[nodiscard]] std::string_view thread_level() const;

  /// Ends all ranks of the job, with `code` as exit code. Without a session under way, it ends the
  /// process.
  [[noreturn]] static void abort(int code);

 private:
  int provided_ = 0;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
