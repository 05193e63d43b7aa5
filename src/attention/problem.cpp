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
  // So that areas, and bytes of any array, are numbers of 63 bits.
  constexpr Index most_rows = Index{1} << 31;
  constexpr Index most_elements = Index{1} << 24;
  const auto at_most = [](Index value, Index most, const char* what) {
    if (value > most) {
      throw InputError(fmt::format("{} is {}; expected at most {}", what, value, most));
    }
  };
  at_most(problem.documents.queries(), most_rows, "the number of queries");
  at_most(problem.documents.keys(), most_rows, "the number of keys");
  for (const Index heads : {problem.query_heads, problem.key_heads}) {
    for (const Index dim : {problem.head_dim, problem.output_dim()}) {
      at_most(heads, most_elements, "the number of heads");
      at_most(dim, most_elements / heads, "the dimension of so many heads");
    }
  }
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
