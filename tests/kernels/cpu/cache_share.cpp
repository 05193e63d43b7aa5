// What Linux says of the caches of a core, and what becomes of it.
#include "kernels/cpu/cache_share.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace annulus::test {
namespace {

/// A folder as /sys/devices/system/cpu/cpu0/cache, which is gone at the end.
class Caches {
 public:
  Caches() {
    auto name = (std::filesystem::temp_directory_path() / "annulus-caches-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  Caches(const Caches&) = delete;
  Caches& operator=(const Caches&) = delete;
  ~Caches() { std::filesystem::remove_all(folder_); }

  Caches& add(const char* level, const char* size, const char* cores) {
    const auto cache = folder_ / ("index" + std::to_string(count_++));
    std::filesystem::create_directory(cache);
    std::ofstream(cache / "level") << level << '\n';
    std::ofstream(cache / "size") << size << '\n';
    std::ofstream(cache / "shared_cpu_list") << cores << '\n';
    return *this;
  }
  [[nodiscard]] Index share() const { return kernels::cache_share(folder_); }
  [[nodiscard]] Index share(int level) const { return kernels::cache_share(folder_, level); }

 private:
  std::filesystem::path folder_;
  int count_ = 0;
};

TEST(CacheShare, IsThatOfTheLastLevel) {
  Caches caches;
  EXPECT_EQ(caches.share(), 0);
  caches.add("1", "48K", "0-1").add("1", "32K", "0-1");
  EXPECT_EQ(caches.share(), 24 << 10);
  EXPECT_EQ(caches.add("2", "1024K", "0").share(), 1 << 20);
  EXPECT_EQ(caches.add("3", "32M", "0-7,64-71").share(), 2 << 20);
}

TEST(CacheShare, IsThatOfALevelOrTheLastBelowIt) {
  Caches caches;
  caches.add("1", "48K", "0").add("3", "480M", "0-1");
  EXPECT_EQ(caches.share(2), 48 << 10);
  caches.add("2", "2048K", "0-1");
  EXPECT_EQ(caches.share(2), 1 << 20);
  EXPECT_EQ(caches.share(3), 240 << 20);
}

TEST(CacheShare, IsNothingWhereTheSystemDoesNotSay) {
  EXPECT_EQ(kernels::cache_share("/nowhere"), 0);
  EXPECT_EQ(Caches().add("3", "", "0-7").share(), 0);
  EXPECT_EQ(Caches().add("3", "32M", "").share(), 0);
  EXPECT_GE(kernels::last_cache_share(), 0);
  EXPECT_GE(kernels::second_cache_share(), 0);
}

}  // namespace
}  // namespace annulus::test
