#pragma once
// Threads of control that hand over to one another by name, on one thread of the system.

#include <ucontext.h>

#include <functional>
#include <memory>

namespace annulus::test {

/// A stack of its own on which `body` runs, from the first time that somebody switches to it until
/// it switches away. `body` must not return. A fiber may be destroyed while it is switched away
/// from; nothing on its stack is then destroyed.
class Fiber {
 public:
  /// The caller's own stack.
  Fiber();
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves `from`, which must be the one that runs, for `to`; returns when somebody switches back.
  static void switch_to(Fiber& from, Fiber& to);

 private:
  static constexpr std::size_t stack_bytes = 128 * 1024;

  static void enter();
  void run();

  std::unique_ptr<std::byte[]> stack_;
  std::function<void()> body_;
  bool started_ = true;
  ucontext_t context_{};  ///< where it starts
  void* place_[5]{};      ///< where it goes on
  // What sanitizers keep of this stack while another one runs.
  void* sanitizer_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace annulus::test
