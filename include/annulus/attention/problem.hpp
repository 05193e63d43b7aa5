#pragma once
// What is to be computed, without a word on where.

#include "annulus/attention/documents.hpp"
#include "annulus/attention/logit_scale.hpp"
#include "annulus/attention/mask.hpp"
#include "annulus/base/index.hpp"

namespace annulus {

/// An attention problem. Query head h reads key head h / (query_heads / key_heads).
struct Problem {
  Index query_heads = 1;  ///< H, a multiple of key_heads
  Index key_heads = 1;    ///< G
  Index head_dim = 64;    ///< d of queries and keys
  Index value_dim = 0;    ///< d_v of values and outputs; 0: the same as head_dim
  Documents documents = Documents::single(0);
  Mask mask = Mask::full();
  LogitScale logit_scale = LogitScale::none();

  [[nodiscard]] Index output_dim() const { return value_dim == 0 ? head_dim : value_dim; }
  [[nodiscard]] Index group() const { return query_heads / key_heads; }
};

/// Throws InputError where a problem makes no sense: dimensions below 1, H not a multiple of G,
/// more than 2^31 queries or keys, more than 2^24 numbers in a row of all heads.
void validate(const Problem& problem);

/// Where query row `row` of `document` stands.
[[nodiscard]] QueryPlace place_of(const Problem& problem, Index document, Index row);

}  // namespace annulus
