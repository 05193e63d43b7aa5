// --logit-scale.
#include "annulus/attention/logit_scale.hpp"
#include "annulus/base/error.hpp"
#include "fuzz/fuzz.hpp"

void annulus::fuzz::read(std::string_view text) {
  const auto scale = LogitScale::parse(text);
  const auto again = LogitScale::parse(scale.name());
  ensure(again.name() == scale.name(), "the name of a logit scale reads back");
  ensure(again.base(64) == scale.base(64), "a base reads back to the same bits");
  for (const Index position : {Index{-7}, Index{0}, Index{1} << 20}) {
    const QueryPlace place{.document_length = 1 << 21, .visible = 1 << 19, .position = position};
    const double beta = scale.beta(place, 64);
    const double same = again.beta(place, 64);
    ensure(beta == same || (beta != beta && same != same), "keys read back to the same bits");
  }
}
