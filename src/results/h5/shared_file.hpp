#pragma once
// A file that all ranks have open.

#include <exception>
#include <string>

#include "results/h5/access.hpp"

namespace annulus::results::h5 {

/// Closing a file that MPI ranks share is collective. Where an exception passes, the other ranks
/// may never come to close it, so it is left to the end of MPI, or of the process.
class SharedFile {
 public:
  SharedFile(Handle file, const Access& access)
      : file_(std::move(file)), collective_(access.collective()) {}
  SharedFile(SharedFile&&) noexcept = default;
  SharedFile& operator=(SharedFile&&) = delete;
  ~SharedFile() {
    if (collective_ && std::uncaught_exceptions() > exceptions_) file_.release();
  }

  [[nodiscard]] hid_t get() const { return file_.get(); }
  /// Collective. Everything written is with the operating system when this returns.
  void close(const std::string& subject) {
    const Lock lock;
    check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "H5Fflush", subject);
    file_.close(subject);
  }

 private:
  Handle file_;
  bool collective_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::results::h5
