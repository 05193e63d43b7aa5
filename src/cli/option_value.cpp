#include "cli/option_value.hpp"

#include <cctype>

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

std::vector<std::string> split_masks(std::string_view text) {
  std::vector<std::string> masks;
  while (true) {
    const auto comma = text.find(',');
    const std::string part(text.substr(0, comma));
    const bool begins_mask =
        !part.empty() && std::isalpha(static_cast<unsigned char>(part[0])) != 0;
    if (begins_mask || masks.empty()) {
      masks.push_back(part);
    } else {
      masks.back() += ',' + part;
    }
    if (comma == std::string_view::npos) return masks;
    text.remove_prefix(comma + 1);
  }
}

std::string read_path(std::string_view text) {
  if (text.empty()) throw InputError("''; expected a path");
  return std::string(text);
}

}  // namespace annulus::cli
