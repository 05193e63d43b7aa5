// --mask.
#include "annulus/attention/mask.hpp"
#include "annulus/base/error.hpp"
#include "fuzz/fuzz.hpp"

void annulus::fuzz::read(std::string_view text) {
  const auto mask = Mask::parse(text);
  ensure(Mask::parse(mask.name()) == mask, "the name of a mask reads back");
  constexpr Index length = Index{1} << 31;
  for (const Index position : {Index{-7}, Index{0}, length - 1}) {
    const auto visible = mask.visible(position, length);
    ensure(0 <= visible.begin && visible.end <= length, "keys that are seen are there");
  }
}
