#pragma once
// Threads of control that hand over to one another by name, on one thread of the system.

#include <csetjmp>
#include <functional>
#include <memory>

namespace annulus::test {

/// A stack of its own on which `body` runs, from the first time that somebody switches to it until
/// it switches away. `body` must not return.
class Fiber {
 public:
  /// The caller's own stack.
  Fiber() = default;
  explicit Fiber(std::function<void()> body);

  /// Leaves `from`, which must be the one that runs, for `to`; returns when somebody switches back.
  static void switch_to(Fiber& from, Fiber& to);

 private:
  static constexpr std::size_t stack_bytes = 128 * 1024;

  static void enter();
  static void start(Fiber& fiber);

  std::unique_ptr<std::byte[]> stack_;
  std::function<void()> body_;
  bool started_ = false;
  std::jmp_buf place_{};
  // What the address sanitizer keeps of this stack while another one runs.
  void* sanitizer_stack_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace annulus::test
