#pragma once
// MPI from its start to its end. Only in builds with MPI.

#include <mpi.h>

#include <chrono>
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

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }

  /// Whether every rank of the job calls this within `patience` of the first: tells a failure that
  /// all ranks share from one that the others still have to learn of. To be called at most once.
  [[nodiscard]] bool joined_by_all(std::chrono::milliseconds patience);

  /// Ends all ranks of the job, with `code` as exit code. Without a session under way, it ends the
  /// process.
  [[noreturn]] static void abort(int code);

 private:
  int provided_ = 0;
  int rank_ = 0;
  int size_ = 1;
  MPI_Comm verdict_ = MPI_COMM_NULL;  // owned; carries nothing but joined_by_all
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
