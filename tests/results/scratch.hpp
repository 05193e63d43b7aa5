#pragma once
// A folder for the files of one test, and what its errors say.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <unistd.h>

#include "annulus/base/error.hpp"

namespace annulus::results {

class Scratch {
 public:
  Scratch() {
    std::string pattern = ::testing::TempDir() + "annulus-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw Error("no temporary folder " + pattern);
    folder_ = pattern;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (folder_ / name).string();
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// How many files and folders are in it.
  [[nodiscard]] int entries() const {
    int count = 0;
    for (const auto& unused : std::filesystem::directory_iterator(folder_)) {
      static_cast<void>(unused);
      ++count;
    }
    return count;
  }

 private:
  std::filesystem::path folder_;
};

/// The message of the InputError that `body` throws; a test failure where it throws none.
template <class Body>
[[nodiscard]] std::string input_error_of(Body&& body) {
  try {
    body();
  } catch (const InputError& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not an InputError: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

}  // namespace annulus::results
