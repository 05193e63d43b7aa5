#include "kernels/cuda/addition_order.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"
#include "kernels/cuda/block.hpp"

namespace annulus::test {

AdditionOrder::AdditionOrder(int threads, bool in_order)
    : in_order_(in_order),
      threads_(static_cast<std::size_t>(threads)),
      made_(static_cast<std::size_t>(threads / lanes)) {}

void AdditionOrder::join(Known& to, const Known& more) {
  if (more == nullptr || more == to) return;
  if (to == nullptr) {
    to = more;
    return;
  }
  auto both = *to;
  for (std::size_t w = 0; w < both.size(); ++w) both[w] = std::max(both[w], (*more)[w]);
  to = std::make_shared<const std::vector<int>>(std::move(both));
}

void AdditionOrder::add(int thread, const float* to) {
  add(thread, to, threads_[static_cast<std::size_t>(thread)].known);
}

void AdditionOrder::have_been_added(int thread) {
  const auto warp = static_cast<std::size_t>(thread / lanes);
  auto own = std::vector<int>(made_.size());
  own[warp] = made_[warp];
  join(threads_[static_cast<std::size_t>(thread)].known,
       std::make_shared<const std::vector<int>>(std::move(own)));
}

AdditionOrder::Known AdditionOrder::known_to_additions(int thread) const {
  return threads_[static_cast<std::size_t>(thread)].additions;
}

void AdditionOrder::fence_additions(int thread) {
  auto& own = threads_[static_cast<std::size_t>(thread)];
  own.additions = own.known;
}

void AdditionOrder::add(int thread, const float* to, const Known& known) {
  const auto warp = static_cast<std::size_t>(thread / lanes);
  const Addition own{.thread = thread, .number = ++made_[warp]};
  const auto [found, is_first] = last_.emplace(to, own);
  if (is_first) return;
  const auto last = std::exchange(found->second, own);
  const auto other = static_cast<std::size_t>(last.thread / lanes);
  ensure(
      !in_order_ || last.thread == thread || (known != nullptr && (*known)[other] >= last.number),
      "two threads add to a number of device memory in no order");
}

void AdditionOrder::look(int thread, const std::uint32_t* count) {
  const auto found = counts_.find(count);
  if (found != counts_.end()) {
    join(threads_[static_cast<std::size_t>(thread)].looked, found->second);
  }
}

void AdditionOrder::fence(int thread) {
  auto& own = threads_[static_cast<std::size_t>(thread)];
  join(own.known, own.looked);
  own.looked = nullptr;
  own.fenced = own.known;
}

void AdditionOrder::raise(int thread, const std::uint32_t* count) {
  join(counts_[count], threads_[static_cast<std::size_t>(thread)].fenced);
}

void AdditionOrder::meet(int first, int threads) {
  const auto begin = threads_.begin() + first;
  Known all = std::make_shared<const std::vector<int>>(made_.size());
  for (auto one = begin; one != begin + threads; ++one) join(all, one->known);
  auto with_own = *all;
  for (int w = first / lanes; w < (first + threads) / lanes; ++w) {
    with_own[static_cast<std::size_t>(w)] = made_[static_cast<std::size_t>(w)];
  }
  all = std::make_shared<const std::vector<int>>(std::move(with_own));
  for (auto one = begin; one != begin + threads; ++one) one->known = all;
}

}  // namespace annulus::test
