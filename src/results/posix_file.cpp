#include "results/posix_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace annulus::results {
namespace {

/// Locks `bytes` bytes with fcntl, as the descriptor's own (F_OFD_SETLK, F_OFD_SETLKW). These go
/// with the descriptor, exclude threads too, and hold between the hosts of a network file system.
int lock_range(int descriptor, int command, short type, Index offset, Index bytes) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = offset;
  range.l_len = bytes;
  int code = 0;
  do {
    code = ::fcntl(descriptor, command, &range);
  } while (code != 0 && errno == EINTR);
  return code;
}

/// The byte that stands for the whole file, where no file has one.
constexpr Index claimed_byte = Index{1} << 62;

struct stat status_of(int descriptor, const PosixFile& file) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw file.failure("looked at");
  return status;
}

}  // namespace

PosixFile::PosixFile(const std::filesystem::path& path, int flags, std::string subject)
    : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)), subject_(std::move(subject)) {}

PosixFile::~PosixFile() {
  if (is_open()) ::close(descriptor_);
}

Error PosixFile::failure(const char* verb) const {
  return Error(fmt::format("{}: cannot be {}: {}", subject_, verb, std::strerror(errno)));
}

Index PosixFile::size() const {
  return status_of(descriptor_, *this).st_size;
}

Index PosixFile::modified() const {
  const auto time = status_of(descriptor_, *this).st_mtim;
  return Index{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool PosixFile::is_at(const std::filesystem::path& path) const {
  const auto mine = status_of(descriptor_, *this);
  struct stat there {};
  return ::stat(path.c_str(), &there) == 0 && there.st_dev == mine.st_dev &&
         there.st_ino == mine.st_ino;
}

std::vector<std::byte> PosixFile::read(Index offset, Index bytes) const {
  std::vector<std::byte> all(static_cast<std::size_t>(bytes));
  std::span<std::byte> rest = all;
  while (!rest.empty()) {
    const auto count = ::pread(descriptor_, rest.data(), rest.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failure("read");
    if (count == 0) break;
    offset += count;
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  all.resize(all.size() - rest.size());
  return all;
}

void PosixFile::write(Index offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const auto count = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failure("written");
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PosixFile::reserve(Index bytes) const {
  errno = bytes > 0 ? ::posix_fallocate(descriptor_, 0, bytes) : 0;
  if (errno != 0) throw failure("written");
}

void PosixFile::sync() const {
  if (::fdatasync(descriptor_) != 0) throw failure("written");
}

void PosixFile::sync_names() const {
  // EINVAL: a file system that has nothing to sync, such as some network file systems' folders.
  if (::fsync(descriptor_) != 0 && errno != EINVAL) throw failure("written");
}

Claim PosixFile::claim() const {
  // Exclusive first, which one alone gets; then shared, for over NFS the locks with which HDF5
  // opens a file to read it are of the same kind.
  if (lock_range(descriptor_, F_OFD_SETLK, F_WRLCK, claimed_byte, 1) != 0) {
    return errno == EAGAIN || errno == EACCES ? Claim::refused : Claim::unsupported;
  }
  static_cast<void>(lock_range(descriptor_, F_OFD_SETLK, F_RDLCK, claimed_byte, 1));
  return Claim::granted;
}

PosixFile::RangeLock::RangeLock(const PosixFile& file, Index offset, Index bytes)
    : descriptor_(file.descriptor_), offset_(offset), bytes_(bytes) {
  // A file system without locks keeps the caches of its hosts coherent, or has only one host.
  static_cast<void>(lock_range(descriptor_, F_OFD_SETLKW, F_WRLCK, offset_, bytes_));
}

PosixFile::RangeLock::~RangeLock() {
  static_cast<void>(lock_range(descriptor_, F_OFD_SETLK, F_UNLCK, offset_, bytes_));
}

}  // namespace annulus::results
