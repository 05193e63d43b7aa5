#include "annulus/attention/problem.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {

void validate(const Problem& problem) {
  const auto positive = [](Index value, const char* what) {
    if (value < 1) throw InputError(fmt::format("{} is {}; expected at least 1", what, value));
  };
  positive(problem.query_heads, "the number of query heads");
  positive(problem.key_heads, "the number of key heads");
  positive(problem.head_dim, "the head dimension");
  positive(problem.output_dim(), "the value dimension");
  if (problem.query_heads % problem.key_heads != 0) {
    throw InputError(fmt::format("{} query heads over {} key heads; expected a multiple",
                                 problem.query_heads, problem.key_heads));
  }
}

QueryPlace place_of(const Problem& problem, Index document, Index row) {
  const Index length = problem.documents.key_length(document);
  const Index position = row + problem.documents.alignment(document);
  return {.document_length = length,
          .visible = problem.mask.visible(position, length).size(),
          .position = position};
}

}  // namespace annulus
