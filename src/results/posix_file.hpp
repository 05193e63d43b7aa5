#pragma once
// A file as the operating system has it: bytes at places, and locks.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"

namespace annulus::results {

/// What came of claiming a file.
enum class Claim {
  granted,
  refused,      ///< another process, or another descriptor of this one, has claimed it
  unsupported,  ///< the file system has no locks
};

/// Owns a descriptor. What fails throws Error "SUBJECT: cannot be VERB: CAUSE", the cause in the
/// operating system's words. Any number of threads may use one.
class PosixFile {
 public:
  PosixFile() = default;
  /// Opens `path` with the flags of open(2). Where that fails, is_open() is false and errno says
  /// why. `subject` begins the messages.
  PosixFile(const std::filesystem::path& path, int flags, std::string subject);
  PosixFile(PosixFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), subject_(std::move(other.subject_)) {}
  PosixFile& operator=(PosixFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(subject_, other.subject_);
    return *this;
  }
  ~PosixFile();

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  /// The failure that errno tells of.
  [[nodiscard]] Error failure(const char* verb) const;

  [[nodiscard]] Index size() const;
  /// Time of the last change, nanoseconds since 1970.
  [[nodiscard]] Index modified() const;
  /// Whether `path` is this file.
  [[nodiscard]] bool is_at(const std::filesystem::path& path) const;

  /// Up to `bytes` bytes from `offset` on; fewer where the file ends before.
  [[nodiscard]] std::vector<std::byte> read(Index offset, Index bytes) const;
  void write(Index offset, std::span<const std::byte> bytes) const;
  /// Makes the file at least `bytes` long and gets it the space.
  void reserve(Index bytes) const;
  /// Returns once everything written through any descriptor of this host is on disk.
  void sync() const;
  /// The same for the names in a folder.
  void sync_names() const;

  /// Marks the file as this descriptor's until it is closed, for all who claim it; open for reading
  /// and writing.
  [[nodiscard]] Claim claim() const;

  /// Excludes other descriptors' RangeLocks on the same bytes while it is there.
  class RangeLock {
   public:
    RangeLock(const PosixFile& file, Index offset, Index bytes);
    RangeLock(const RangeLock&) = delete;
    RangeLock& operator=(const RangeLock&) = delete;
    ~RangeLock();

   private:
    int descriptor_;
    Index offset_;
    Index bytes_;
  };

 private:
  int descriptor_ = -1;
  std::string subject_;
};

}  // namespace annulus::results
