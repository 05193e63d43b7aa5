#pragma once
// Random inputs for checks and benchmarks: the same on every rank, whatever the number of ranks.

#include <cstdint>
#include <random>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/tensor_view.hpp"

namespace annulus {

/// Rows of q, k and v with standard normal entries.
template <class T>
struct Inputs {
  std::vector<T> q;
  std::vector<T> k;
  std::vector<T> v;
};

/// The rows that a rank holds, (rows, heads, dim) dense; a row is a function of `seed`, `tensor`
/// and its place in the packed sequence alone.
template <class T>
[[nodiscard]] std::vector<T> random_rows(std::uint64_t seed, std::uint64_t tensor,
                                         const std::vector<Index>& rows, Index width) {
  std::vector<T> values;
  values.reserve(rows.size() * static_cast<std::size_t>(width));
  std::normal_distribution<double> normal;
  for (const Index row : rows) {
    std::seed_seq sequence{seed, tensor, static_cast<std::uint64_t>(row)};
    std::mt19937_64 random(sequence);
    normal.reset();
    for (Index c = 0; c < width; ++c) values.push_back(static_cast<T>(normal(random)));
  }
  return values;
}

template <class T>
[[nodiscard]] Inputs<T> random_inputs(const Problem& problem, std::uint64_t seed,
                                      const std::vector<Index>& query_rows,
                                      const std::vector<Index>& key_rows) {
  return {.q = random_rows<T>(seed, 0, query_rows, problem.query_heads * problem.head_dim),
          .k = random_rows<T>(seed, 1, key_rows, problem.key_heads * problem.head_dim),
          .v = random_rows<T>(seed, 2, key_rows, problem.key_heads * problem.output_dim())};
}

/// d loss / d out for the query rows that a rank holds.
template <class T>
[[nodiscard]] std::vector<T> random_output_gradients(const Problem& problem, std::uint64_t seed,
                                                     const std::vector<Index>& query_rows) {
  return random_rows<T>(seed, 3, query_rows, problem.query_heads * problem.output_dim());
}

}  // namespace annulus
