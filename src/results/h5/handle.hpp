#pragma once
// HDF5 objects that close themselves, and returned codes that are looked at.

#include <hdf5.h>

#include <mutex>
#include <string_view>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::results::h5 {

/// HDF5 is not thread-safe unless built so, and ranks may be threads: whoever calls it holds this.
/// Recursive. Never held across a collective of annulus::comm, which would wait for a rank that
/// waits for the lock. Turns off HDF5's own printing of errors.
class Lock {
 public:
  Lock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// The innermost message of HDF5's error stack, which is cleared.
[[nodiscard]] std::string innermost_error();

/// Throws Error "SUBJECT: CALL failed: <HDF5's innermost message>" for a negative code; returns
/// all others. `subject` is the file or dataset.
template <class Code>
Code check(Code code, std::string_view call, std::string_view subject,
           std::source_location location = std::source_location::current()) {
  if (code >= 0) return code;
  throw Error(std::string(subject) + ": " + std::string(call) + " failed: " + innermost_error(),
              location);
}

/// Owns an HDF5 identifier.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Handle() = default;
  Handle(hid_t id, Close closing) : id_(id), close_(closing) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle();

  [[nodiscard]] hid_t get() const { return id_; }
  /// Closes now; throws Error where that fails, which for files means that data may be lost.
  void close(std::string_view subject);
  /// Gives the identifier up without closing it.
  void release() { id_ = H5I_INVALID_HID; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Takes ownership of what a call returned, or throws as `check` does.
[[nodiscard]] inline Handle own(hid_t id, Handle::Close close, std::string_view call,
                                std::string_view subject,
                                std::source_location location = std::source_location::current()) {
  return {check(id, call, subject, location), close};
}

}  // namespace annulus::results::h5
