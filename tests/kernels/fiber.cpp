// A hardened longjmp takes a jump to another stack for an attack.
#undef _FORTIFY_SOURCE

#include "kernels/fiber.hpp"

#include <ucontext.h>

#include <utility>

#include "annulus/base/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace annulus::test {
namespace {

/// The fiber that starts for the first time, and the one that it is started from.
thread_local Fiber* starting = nullptr;
thread_local Fiber* leaving = nullptr;

}  // namespace

Fiber::Fiber(std::function<void()> body)
    : stack_(new std::byte[stack_bytes]), body_(std::move(body)) {
  bottom_ = stack_.get();
  size_ = stack_bytes;
}

void Fiber::enter() {
  Fiber& self = *starting;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &leaving->bottom_, &leaving->size_);
#endif
  self.body_();
  broken_invariant("the body of a fiber returned");
}

/// A context is made once; from then on jumps are enough, and they need no system call.
void Fiber::start(Fiber& fiber) {
  fiber.started_ = true;
  starting = &fiber;
  ucontext_t context;
  ensure(getcontext(&context) == 0, "getcontext");
  context.uc_stack.ss_sp = fiber.stack_.get();
  context.uc_stack.ss_size = stack_bytes;
  context.uc_link = nullptr;
  makecontext(&context, &Fiber::enter, 0);
  setcontext(&context);
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  leaving = &from;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.sanitizer_stack_, to.bottom_, to.size_);
#endif
  if (_setjmp(from.place_) == 0) {
    if (to.body_ && !to.started_) start(to);
    _longjmp(to.place_, 1);
  }
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.sanitizer_stack_, &leaving->bottom_, &leaving->size_);
#endif
}

}  // namespace annulus::test
