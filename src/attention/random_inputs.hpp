#pragma once
// Random inputs for checks and benchmarks: the same on every rank, whatever the number of ranks.

#include <cstdint>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/random.hpp"

namespace annulus {

/// The tensors of a problem, as streams of random numbers; those below are of the studies.
enum class RandomTensor : std::uint64_t { q = 32, k, v, dout };

/// The rows of a tensor that a rank holds, (rows, width) dense, standard normal: a row is a
/// function of `seed`, `tensor` and its place in the packed sequence alone.
template <class T>
[[nodiscard]] std::vector<T> random_rows(std::uint64_t seed, RandomTensor tensor,
                                         const std::vector<Index>& rows, Index width) {
  std::vector<T> values;
  values.reserve(rows.size() * static_cast<std::size_t>(width));
  std::vector<double> numbers(static_cast<std::size_t>(width));
  for (const Index row : rows) {
    fill_normal(numbers, seed, static_cast<std::uint64_t>(tensor), static_cast<std::uint64_t>(row));
    for (const double number : numbers) values.push_back(static_cast<T>(number));
  }
  return values;
}

/// Rows of q, k and v.
template <class T>
struct RandomInputs {
  std::vector<T> q;
  std::vector<T> k;
  std::vector<T> v;
};

template <class T>
[[nodiscard]] RandomInputs<T> random_inputs(const Problem& problem, std::uint64_t seed,
                                            const std::vector<Index>& query_rows,
                                            const std::vector<Index>& key_rows) {
  return {
      .q =
          random_rows<T>(seed, RandomTensor::q, query_rows, problem.query_heads * problem.head_dim),
      .k = random_rows<T>(seed, RandomTensor::k, key_rows, problem.key_heads * problem.head_dim),
      .v = random_rows<T>(seed, RandomTensor::v, key_rows,
                          problem.key_heads * problem.output_dim())};
}

/// d loss / d out for the query rows that a rank holds.
template <class T>
[[nodiscard]] std::vector<T> random_output_gradients(const Problem& problem, std::uint64_t seed,
                                                     const std::vector<Index>& query_rows) {
  return random_rows<T>(seed, RandomTensor::dout, query_rows,
                        problem.query_heads * problem.output_dim());
}

}  // namespace annulus
