#pragma once
// Whether additions to device memory have an order, or only happened to have one.
//
// From the PTX ISA, "Memory Consistency Model". A thread knows of additions of others by
// - meeting them: what they knew and what they had added, and
// - looking at a count and a fence after that: what those who had raised the count knew at the last
//   fence before they did.
// An addition to a number, of whose last addition by another thread the thread does not know, is an
// error. So a fence, a meeting or a wait too few shows whatever the order in which threads run.

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace annulus::test {

class AdditionOrder {
 public:
  /// Of all blocks. Threads, and warps by their first thread, count from the first block on.
  /// `in_order`: whether additions in no order are an error.
  explicit AdditionOrder(int threads, bool in_order = true);

  /// Additions of each warp that are known of; shared by those who know the same. Null: none.
  using Known = std::shared_ptr<const std::vector<int>>;

  void add(int thread, const float* to);
  /// The same for what is added by itself, when its thread has waited for that; `known`: what was
  /// known when it started. The thread knows of it after have_been_added().
  void add(int thread, const float* to, const Known& known);
  void have_been_added(int thread);
  /// What a thread knew when it last fenced that for such additions.
  [[nodiscard]] Known known_to_additions(int thread) const;
  void fence_additions(int thread);
  void look(int thread, const std::uint32_t* count);
  void fence(int thread);
  void raise(int thread, const std::uint32_t* count);
  /// Threads from `first` on, whole warps.
  void meet(int first, int threads);

 private:
  struct Thread {
    Known known;
    Known looked;     ///< what a fence makes known
    Known fenced;     ///< what raising a count makes known
    Known additions;  ///< what additions know of that go on by themselves
  };
  struct Addition {
    int thread;
    int number;  ///< among those of its warp
  };

  static void join(Known& to, const Known& more);

  bool in_order_;
  std::vector<Thread> threads_;
  std::vector<int> made_;  ///< additions of each warp
  std::unordered_map<const float*, Addition> last_;
  std::map<const std::uint32_t*, Known> counts_;
};

}  // namespace annulus::test
