#include "python/agreement.hpp"

#include <array>
#include <exception>
#include <string_view>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"

namespace annulus::python {
namespace {

/// Facts as bytes: names and values, each with a zero behind it.
std::string encode(const Facts& facts) {
  std::string text;
  for (const auto& [name, value] : facts) {
    for (const auto* part : {&name, &value}) text.append(*part).push_back('\0');
  }
  return text;
}

Facts decode(std::string_view text) {
  const auto next = [&] {
    const auto end = text.find('\0');
    std::string part(text.substr(0, end));
    text.remove_prefix(end + 1);
    return part;
  };
  Facts facts;
  while (!text.empty()) {
    auto name = next();
    facts.emplace_back(std::move(name), next());
  }
  return facts;
}

/// Not negative, so that its negative is a number as well.
Index hash_of(const std::string& text) {
  return static_cast<Index>(std::hash<std::string>{}(text) >> 1);
}

void throw_difference(comm::Communicator& communicator, const std::string& text) {
  const auto all = communicator.all_gather(std::as_bytes(std::span(text)));
  const auto facts_of = [&](std::size_t rank) {
    return decode({reinterpret_cast<const char*>(all[rank].data()), all[rank].size()});
  };
  const auto first = facts_of(0);
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const auto other = facts_of(rank);
    for (std::size_t at = 0; at < std::min(first.size(), other.size()); ++at) {
      if (first[at] == other[at]) continue;
      throw InputError(fmt::format("{}: {} on rank {} and {} on rank 0; expected the same",
                                   other[at].first, other[at].second, rank, first[at].second));
    }
  }
  broken_invariant("ranks differ in what none of them says");
}

}  // namespace

void agree(comm::Communicator& communicator, const std::function<Facts()>& facts,
           const std::function<void()>& body) {
  if (communicator.size() == 1) {
    body();
    return;
  }
  std::exception_ptr failure;
  try {
    body();
  } catch (...) {
    failure = std::current_exception();
  }
  const auto text = encode(facts());
  const Index hash = hash_of(text);
  std::array<Index, 3> most{failure ? 1 : 0, hash, -hash};
  communicator.all_reduce(std::span<Index>(most), comm::Reduction::maximum);
  if (most[1] != -most[2]) throw_difference(communicator, text);
  if (most[0] == 0) return;
  comm::together(communicator, [&] {
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace annulus::python
