#pragma once
// The names of files that are not whole yet.

#include <filesystem>
#include <optional>
#include <string>

namespace annulus::results {

/// What the names of all partial files of `target` begin with: `.NAME.partial-`, NAME cut to what
/// leaves a name that file systems take.
[[nodiscard]] std::string partial_prefix(const std::filesystem::path& target);

/// Lets remove_partial_files() know of a file, by its absolute name, while this object is there.
class KnownPartialFile {
 public:
  explicit KnownPartialFile(std::filesystem::path path);
  KnownPartialFile(const KnownPartialFile&) = delete;
  KnownPartialFile& operator=(const KnownPartialFile&) = delete;
  ~KnownPartialFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A new name for a partial file, which remove_partial_files() knows while this object is there.
class PartialName {
 public:
  explicit PartialName(const std::filesystem::path& target);
  PartialName(const PartialName&) = delete;
  PartialName& operator=(const PartialName&) = delete;
  /// Removes the file, unless it was forgotten.
  ~PartialName();

  /// Until it is forgotten.
  [[nodiscard]] const std::filesystem::path& path() const { return known_->path(); }
  /// The file has been renamed or is not this process's.
  void forget() { known_.reset(); }

 private:
  std::optional<KnownPartialFile> known_;
};

}  // namespace annulus::results
