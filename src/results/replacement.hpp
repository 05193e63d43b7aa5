#pragma once
// A file that appears under its name only when it is whole.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "results/partial_name.hpp"
#include "results/posix_file.hpp"

namespace annulus::results {

/// Where a file named `path` is or would be: absolute, and behind all links, so that they stay.
/// Throws InputError naming `option` where links go round, where `path` is something else than a
/// regular file, or where its folder does not exist.
[[nodiscard]] std::filesystem::path output_target(const std::string& path,
                                                  std::string_view option = "--output");

/// Claims the file at `target`, if there is one that can be written, until what is returned goes.
/// Throws InputError naming --output where another run has claimed it.
[[nodiscard]] PosixFile claim_output(const std::string& path, const std::filesystem::path& target);

/// A new empty file beside `path`, named `.NAME.partial-<random>` and claimed, to be filled and
/// then renamed onto `path`. Removed where it is not committed; a process that SIGKILL ends leaves
/// it behind.
class Replacement {
 public:
  /// Throws InputError naming `option` where the folder is missing or cannot be written.
  explicit Replacement(const std::string& path, std::string_view option = "--output");

  [[nodiscard]] const std::filesystem::path& temporary() const { return name_->path(); }
  /// Where its content is now.
  [[nodiscard]] const std::filesystem::path& place() const;
  /// The file, whatever its name, open for reading and writing.
  [[nodiscard]] const PosixFile& file() const { return file_; }
  [[nodiscard]] bool committed() const { return !name_.has_value(); }

  /// Syncs the file, renames it onto the path, and syncs the folder: what stood under the path
  /// before stands there until the new content is on disk.
  /// Without `replace`, throws InputError where something has appeared there in the meantime.
  void commit(bool replace = true);

 private:
  std::string subject_;  // the option and the path
  std::filesystem::path target_;
  std::optional<PartialName> name_;  ///< none once committed
  PosixFile file_;
};

/// Removes what killed processes left beside `path`: partial files that nobody claims.
void remove_leftovers(const std::string& path);

}  // namespace annulus::results
