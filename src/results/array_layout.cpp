#include "annulus/results/array_layout.hpp"

#include <array>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

struct Entry {
  ArrayLayout layout;
  std::string_view name;
  std::string_view axes;
};

constexpr std::array entries{
    Entry{ArrayLayout::nhd, "nhd", "(n, heads, d)"},
    Entry{ArrayLayout::bnhd, "bnhd", "(batch, n, heads, d)"},
    Entry{ArrayLayout::bhnd, "bhnd", "(batch, heads, n, d)"},
};

const Entry& entry_of(ArrayLayout layout) {
  for (const auto& entry : entries) {
    if (entry.layout == layout) return entry;
  }
  broken_invariant("unknown layout");
}

}  // namespace

std::string_view name_of(ArrayLayout layout) {
  return entry_of(layout).name;
}

std::string_view axes_of(ArrayLayout layout) {
  return entry_of(layout).axes;
}

ArrayLayout parse_array_layout(std::string_view name) {
  for (const auto& entry : entries) {
    if (name == entry.name) return entry.layout;
  }
  throw InputError(fmt::format("unknown layout '{}'; expected nhd, bnhd or bhnd", name));
}

}  // namespace annulus::results
