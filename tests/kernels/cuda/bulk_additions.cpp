#include "kernels/cuda/bulk_additions.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::test {

void BulkAdditions::start(int thread, int thread_of_all, float* to, SharedOffset from, int bytes,
                          const AsyncMemory& memory, const AdditionOrder& order) {
  ensure(
      bytes > 0 && bytes % 16 == 0 && from % 16 == 0 && std::bit_cast<std::uintptr_t>(to) % 16 == 0,
      "what is added at once lies at multiples of 16 bytes");
  ensure(memory.may_be_read(from, bytes, thread / kernels::gpu::warp_lanes),
         "numbers are added that are not fenced, or that the thread does not know of");
  threads_[thread].open.push_back({.thread_of_all = thread_of_all,
                                   .to = to,
                                   .from = from,
                                   .numbers = memory.numbers(from, bytes),
                                   .known = order.known_to_additions(thread_of_all)});
}

void BulkAdditions::commit(int thread) {
  auto& [open, groups] = threads_[thread];
  groups.push_back(std::move(open));
  open.clear();
}

void BulkAdditions::read(Addition& addition, const AsyncMemory& memory) {
  if (addition.read) return;
  addition.read = true;
  const int bytes = static_cast<int>(addition.numbers.size() * sizeof(float));
  std::ranges::transform(addition.numbers, memory.numbers(addition.from, bytes),
                         addition.numbers.begin(), [](float before, float now) {
                           const bool same = std::bit_cast<std::uint32_t>(before) ==
                                             std::bit_cast<std::uint32_t>(now);
                           return same ? now : std::numeric_limits<float>::quiet_NaN();
                         });
}

void BulkAdditions::wait_read(int thread, std::size_t pending, const AsyncMemory& memory) {
  auto& groups = threads_[thread].groups;
  for (std::size_t i = 0; i + pending < groups.size(); ++i) {
    for (auto& addition : groups[i]) read(addition, memory);
  }
}

void BulkAdditions::wait(int thread, std::size_t pending, const AsyncMemory& memory,
                         AdditionOrder& order) {
  wait_read(thread, pending, memory);
  auto& groups = threads_[thread].groups;
  while (groups.size() > pending) {
    for (const auto& addition : groups.front()) {
      for (std::size_t i = 0; i < addition.numbers.size(); ++i) {
        order.add(addition.thread_of_all, addition.to + i, addition.known);
        addition.to[i] += addition.numbers[i];
      }
      order.have_been_added(addition.thread_of_all);
    }
    groups.erase(groups.begin());
  }
}

void BulkAdditions::check_end() {
  for (const auto& [_, thread] : threads_) {
    ensure(thread.open.empty() && thread.groups.empty(),
           "a thread ended before what it adds had been added");
  }
  threads_.clear();
}

}  // namespace annulus::test
