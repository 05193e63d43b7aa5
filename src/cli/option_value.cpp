#include "cli/option_value.hpp"

#include "annulus/base/error.hpp"

namespace annulus::cli {

std::string name_in_messages(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const auto comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::string read_path(std::string_view text) {
  if (text.empty()) throw InputError("''; expected a path");
  return std::string(text);
}

}  // namespace annulus::cli
