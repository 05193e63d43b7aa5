#pragma once
// The names of files that are not whole yet.

#include <filesystem>
#include <string>

namespace annulus::results {

/// What the names of all partial files of `target` begin with: `.NAME.partial-`, NAME cut to what
/// leaves a name that file systems take.
[[nodiscard]] std::string partial_prefix(const std::filesystem::path& target);

/// A new name for a partial file, absolute, which remove_partial_files() knows while this object is
/// there.
class PartialName {
 public:
  explicit PartialName(const std::filesystem::path& target);
  PartialName(const PartialName&) = delete;
  PartialName& operator=(const PartialName&) = delete;
  /// Removes the file, unless it was forgotten.
  ~PartialName();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The file has been renamed or is not this process's.
  void forget();

 private:
  std::filesystem::path path_;
  bool known_ = true;
};

}  // namespace annulus::results
