#pragma once
// Says for whom a rank waits, and ends waits that take too long.

#include <set>
#include <vector>

#include "annulus/comm/watch.hpp"

namespace annulus::comm {

class MpiWatch {
 public:
  /// `hosts` are those of all ranks, of which `rank` is this process.
  MpiWatch(Watch watch, std::vector<std::string> hosts, int rank);

  /// One wait, from its start on.
  class Wait {
   public:
    explicit Wait(const MpiWatch& watch) : watch_(watch) {}
    /// Something has arrived or left.
    void progressed() { since_ = Clock::now(); }
    /// Nothing has. Throws Error after the timeout.
    void check_timeout() const {
      check_timeout([] { return std::string("the other ranks"); });
    }
    /// The same, where `peers()` is the set of ranks that are waited for; tells a long wait.
    template <class Peers>
    void look(const Peers& peers) {
      const auto names = [&] { return watch_.names_of(peers()); };
      check_timeout(names);
      if (said_ || Clock::now() - since_ < watch_.watch_.patience) return;
      said_ = true;
      if (watch_.watch_.say) watch_.watch_.say(sentence(names()));
    }

   private:
    using Clock = std::chrono::steady_clock;
    template <class Names>
    void check_timeout(const Names& names) const {
      const auto& timeout = watch_.watch_.timeout;
      if (timeout && Clock::now() - since_ >= *timeout) fail(sentence(names()));
    }
    [[nodiscard]] std::string sentence(const std::string& whom) const;
    [[noreturn]] static void fail(const std::string& sentence);

    const MpiWatch& watch_;
    Clock::time_point since_ = Clock::now();
    bool said_ = false;
  };

 private:
  [[nodiscard]] std::string name_of(int rank) const;
  [[nodiscard]] std::string names_of(const std::set<int>& ranks) const;

  Watch watch_;
  std::vector<std::string> hosts_;
  int rank_;
};

}  // namespace annulus::comm
