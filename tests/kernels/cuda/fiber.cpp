#include "kernels/cuda/fiber.hpp"

#include <utility>
#include <vector>

#include "annulus/base/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace annulus::test {
namespace {

/// The fiber that is being left and the one that is being entered.
thread_local Fiber* leaving = nullptr;
thread_local Fiber* entering = nullptr;

using Stack = std::unique_ptr<std::byte[]>;
/// Stacks of fibers that are no more. Blocks come and go, and what the system gives anew it clears.
thread_local std::vector<Stack> free_stacks;

Stack take_stack(std::size_t bytes) {
  if (free_stacks.empty()) return Stack(new std::byte[bytes]);
  auto stack = std::move(free_stacks.back());
  free_stacks.pop_back();
  return stack;
}

void give_back(Stack stack, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack.get(), bytes);  // frames that have not ended
#endif
  free_stacks.push_back(std::move(stack));
}

}  // namespace

#if defined(__SANITIZE_THREAD__)
Fiber::Fiber() : sanitizer_(__tsan_get_current_fiber()) {}
#else
Fiber::Fiber() = default;
#endif

Fiber::Fiber(std::function<void()> body)
    : stack_(take_stack(stack_bytes)),
      body_(std::move(body)),
      started_(false),
      bottom_(stack_.get()),
      size_(stack_bytes) {
  ensure(getcontext(&context_) == 0, "getcontext");
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::enter, 0);
#if defined(__SANITIZE_THREAD__)
  sanitizer_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  if (stack_) __tsan_destroy_fiber(sanitizer_);
#endif
  if (stack_) give_back(std::move(stack_), stack_bytes);
}

void Fiber::enter() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &leaving->bottom_, &leaving->size_);
#endif
  entering->body_();
  broken_invariant("the body of a fiber returned");
}

/// Not instrumented: sanitizers would take the jump for the end of the frames of this stack.
__attribute__((noinline, no_sanitize_address, no_sanitize_thread)) void Fiber::run() {
  if (started_) __builtin_longjmp(place_, 1);
  started_ = true;
  setcontext(&context_);
}

__attribute__((noinline)) void Fiber::switch_to(Fiber& from, Fiber& to) {
  leaving = &from;
  entering = &to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.sanitizer_, to.bottom_, to.size_);
#elif defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.sanitizer_, 0);
#endif
  // swapcontext would do, but calls the system every time.
  if (__builtin_setjmp(from.place_) == 0) to.run();
#if defined(__SANITIZE_ADDRESS__)
  // Here `from` runs again, and `entering` is what it is.
  __sanitizer_finish_switch_fiber(entering->sanitizer_, &leaving->bottom_, &leaving->size_);
#endif
}

}  // namespace annulus::test
