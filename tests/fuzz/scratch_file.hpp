#pragma once
// The file that a fuzzer makes, and how it is damaged.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <unistd.h>

#include "fuzz/choices.hpp"

namespace annulus::fuzz {

/// A path of this process, in memory where there is such a folder; removed at the end.
class ScratchFile {
 public:
  ScratchFile()
      : path_((std::filesystem::exists("/dev/shm") ? std::filesystem::path("/dev/shm")
                                                   : std::filesystem::temp_directory_path()) /
              ("annulus-fuzz-" + std::to_string(::getpid()) + ".h5")) {}
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  [[nodiscard]] std::string path() const { return path_.string(); }

  [[nodiscard]] std::string contents() const {
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void replace(std::string_view contents) const {
    std::ofstream(path_, std::ios::binary) << contents;
  }

  /// As a disk, a cable or a program in the wrong place does: bytes that are others, or missing.
  void damage(Choices& choices) const {
    auto bytes = contents();
    while (choices.left() && !bytes.empty()) {
      const std::size_t page = choices.byte();
      const std::size_t at = (256 * page + choices.byte()) % bytes.size();
      const auto how = choices.byte();
      if (how == 255) {
        bytes.resize(at);
      } else {
        bytes[at] = static_cast<char>(bytes[at] ^ how);
      }
    }
    replace(bytes);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace annulus::fuzz
