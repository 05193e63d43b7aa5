#pragma once
// Passages of the documentation that are made from what the code says.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace annulus::test {

/// Fails unless, in the file `page` of the project, what stands between `<!-- PASSAGE -->` and the
/// next `<!-- end -->` is `text`. With ANNULUS_WRITE_DOCS=1 in the environment it is written there.
inline void expect_generated(const std::string& page, const std::string& passage,
                             const std::string& text) {
  const std::string path = std::string(ANNULUS_PROJECT_ROOT) + "/" + page;
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  std::string all = content.str();
  const std::string begin = "<!-- " + passage + " -->";
  const auto marker = all.find(begin);
  const auto first = marker + begin.size();
  const auto last = marker == std::string::npos ? marker : all.find("<!-- end -->", first);
  ASSERT_NE(last, std::string::npos) << page << " has no passage '" << passage << "'";
  const auto says = all.substr(first, last - first);
  if (std::getenv("ANNULUS_WRITE_DOCS") != nullptr) {
    std::ofstream(path) << all.replace(first, last - first, text);
    return;
  }
  EXPECT_EQ(says, text) << "ANNULUS_WRITE_DOCS=1 build/tests/test_documentation writes " << page;
}

}  // namespace annulus::test
