// Numbers of options, and lists of them.
#include <cstdint>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "base/range.hpp"
#include "cli/option_value.hpp"
#include "fuzz/fuzz.hpp"

namespace {

template <class Range>
void read_in(std::string_view text, const Range& range) {
  static_cast<void>(annulus::fuzz::takes([&] {
    const auto number = annulus::read_number(text, range);
    annulus::ensure(range.contains(number), "a number that is read is in its range");
    annulus::ensure(annulus::read_number(fmt::format("{}", number), range) == number,
                    "a number reads back");
  }));
}

}  // namespace

void annulus::fuzz::read(std::string_view text) {
  const auto parts = cli::split_list(text);
  ensure(fmt::format("{}", fmt::join(parts, ",")) == text, "a list is its parts between commas");
  for (const auto& part : parts) {
    read_in(part, WholeRange<Index>{});
    read_in(part, WholeRange<Index>{0, Index{1} << 31});
    read_in(part, WholeRange<int>{1, 4096});
    read_in(part, WholeRange<std::uint64_t>{});
    read_in(part, RealRange{});
    read_in(part, RealRange::above(0));
    read_in(part, RealRange{.least = 0, .most = 1, .without_most = true});
  }
}
