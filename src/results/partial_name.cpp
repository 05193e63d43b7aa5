#include "results/partial_name.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "annulus/results/partial_files.hpp"

namespace annulus::results {
namespace {

/// Names that a signal handler may read: pointers to what their owners keep. There are seldom more
/// than two at once; one that finds no place is merely left behind by a signal.
std::array<std::atomic<const char*>, 16> partial_names{};

void exchange_name(const char* from, const char* to) {
  for (auto& name : partial_names) {
    const char* expected = from;
    if (name.compare_exchange_strong(expected, to)) return;
  }
}

}  // namespace

void remove_partial_files() noexcept {
  for (auto& name : partial_names) {
    if (const char* path = name.load()) ::unlink(path);
  }
}

std::string partial_prefix(const std::filesystem::path& target) {
  constexpr std::size_t longest = 255;  // bytes of a name
  constexpr std::size_t around = std::string_view("..partial-0123456789abcdef").size();
  std::string name = target.filename().string();
  std::size_t length = std::min(name.size(), longest - around);
  // Not within a character of UTF-8, of which some file systems insist on whole ones.
  const auto continues = [&](std::size_t at) {
    return at < name.size() && (static_cast<unsigned char>(name[at]) & 0xC0U) == 0x80U;
  };
  while (length > 0 && continues(length)) --length;
  name.resize(length);
  return fmt::format(".{}.partial-", name);
}

KnownPartialFile::KnownPartialFile(std::filesystem::path path) : path_(std::move(path)) {
  exchange_name(nullptr, path_.c_str());
}

KnownPartialFile::~KnownPartialFile() {
  exchange_name(path_.c_str(), nullptr);
}

PartialName::PartialName(const std::filesystem::path& target) {
  std::random_device random;
  known_.emplace(target.parent_path() /
                 fmt::format("{}{:08x}{:08x}", partial_prefix(target), random(), random()));
}

PartialName::~PartialName() {
  std::error_code ignored;
  if (known_) std::filesystem::remove(known_->path(), ignored);
}

}  // namespace annulus::results
