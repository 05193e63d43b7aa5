#include "results/whole_file.hpp"

#include <span>

#include "results/replacement.hpp"

namespace annulus::results {

void write_whole_file(const std::string& path, std::string_view text, std::string_view option) {
  Replacement file(path, option);
  file.file().write(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace annulus::results
