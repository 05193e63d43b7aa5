#pragma once
// A file that appears under its name only when it is whole.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace annulus::results {

/// Throws InputError naming --output where `path` is something else than a regular file, or its
/// folder does not exist.
void check_output_path(const std::string& path);

/// A new empty file beside `path`, named `.NAME.partial-<random>`, to be filled and then renamed
/// onto `path`. Removed where it is not committed; a killed process leaves it behind.
class Replacement {
 public:
  /// Throws InputError naming --output where the folder is missing or cannot be written.
  explicit Replacement(const std::string& path);
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement();

  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }

  /// Makes `bytes` the content of the temporary file.
  void fill(std::span<const std::byte> bytes) const;

  /// Syncs the temporary file, renames it onto the path, and syncs the folder: what stood under
  /// the path before stands there until the new content is on disk.
  /// Without `replace`, throws InputError where something has appeared there in the meantime.
  void commit(bool replace = true);

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;  ///< empty once committed
};

/// Removes what killed processes left beside `path`.
void remove_leftovers(const std::string& path);

}  // namespace annulus::results
