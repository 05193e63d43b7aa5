#include "base/text_file.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace annulus {

std::optional<std::string> text_of_file(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  std::ifstream file(path);
  // Not by operator<<, to which an empty file is a failure.
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) return std::nullopt;
  return text;
}

}  // namespace annulus
