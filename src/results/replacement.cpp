#include "results/replacement.hpp"

#include <cerrno>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : path_(path), value_(::open(path.c_str(), flags)) {
    if (value_ < 0) fail("opened");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(value_); }

  void write(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const auto written = ::write(value_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail("written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void sync() const {
    // EINVAL: a file system that has nothing to sync, such as some network file systems' folders.
    if (::fsync(value_) != 0 && errno != EINVAL) fail("synced");
  }

 private:
  [[noreturn]] void fail(const char* verb) const {
    throw Error(fmt::format("{} cannot be {}: {}", path_.string(), verb, std::strerror(errno)));
  }

  fs::path path_;
  int value_;
};

/// The file itself where `path` is a link to one, so that the link stays.
fs::path resolved(const std::string& path) {
  std::error_code code;
  const auto absolute = fs::absolute(path, code);
  auto target = fs::weakly_canonical(absolute, code);
  return code ? absolute : target;
}

std::string partial_prefix(const fs::path& target) {
  return fmt::format(".{}.partial-", target.filename().string());
}

}  // namespace

void check_output_path(const std::string& path) {
  std::error_code code;
  const auto target = resolved(path);
  const auto status = fs::status(target, code);
  if (code == std::errc::too_many_symbolic_link_levels) {
    throw InputError(
        fmt::format("--output {}: a link that leads nowhere; expected a file name", path));
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw InputError(fmt::format("--output {}: not a regular file; expected a file name", path));
  }
  if (path.empty() || !fs::is_directory(target.parent_path(), code)) {
    throw InputError(
        fmt::format("--output {}: there is no folder {}; expected a file in a folder "
                    "that exists",
                    path, target.parent_path().string()));
  }
}

Replacement::Replacement(const std::string& path) : target_(resolved(path)) {
  check_output_path(path);
  std::random_device random;
  int descriptor = -1;
  do {
    temporary_ = target_.parent_path() /
                 fmt::format("{}{:08x}{:08x}", partial_prefix(target_), random(), random());
    descriptor = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EEXIST);
  if (descriptor < 0) {
    throw InputError(fmt::format("--output {}: cannot be written: {}", path, std::strerror(errno)));
  }
  ::close(descriptor);
}

Replacement::~Replacement() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove(temporary_, ignored);
}

void Replacement::fill(std::span<const std::byte> bytes) const {
  Descriptor(temporary_, O_WRONLY | O_TRUNC | O_CLOEXEC).write(bytes);
}

void Replacement::commit(bool replace) {
  Descriptor(temporary_, O_RDONLY | O_CLOEXEC).sync();
  std::error_code code;
  // A link is made only where there is nothing yet; where links are not to be had, look and rename.
  if (!replace && ::link(temporary_.c_str(), target_.c_str()) == 0) {
    fs::remove(temporary_, code);
    temporary_.clear();
    Descriptor(target_.parent_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC).sync();
    return;
  }
  if (!replace && fs::exists(target_, code)) {
    throw InputError(fmt::format(
        "--output {}: the file has appeared during the run; pass --overwrite", target_.string()));
  }
  fs::rename(temporary_, target_, code);
  if (code) {
    throw Error(fmt::format("{} cannot be renamed to {}: {}", temporary_.string(), target_.string(),
                            code.message()));
  }
  temporary_.clear();
  Descriptor(target_.parent_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC).sync();
}

void remove_leftovers(const std::string& path) {
  const auto target = resolved(path);
  const auto prefix = partial_prefix(target);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(target.parent_path(), ignored)) {
    if (entry.path().filename().string().starts_with(prefix)) fs::remove(entry.path(), ignored);
  }
}

}  // namespace annulus::results
